import type { HttpBody } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Fault } from "./fault.ts";

const unread = new WeakMap<HttpBody, Fault>();
/** Most servers never get such a body, and then skip the lookup. */
let hasAny = false;

/** Marks a piece of a body that had too many bytes to be read. The fault is for a handler that must see the bytes. */
export function markUnread(body: HttpBody, fault: Fault): void {
  hasAny = true;
  unread.set(body, fault);
}

/** Returns the fault of a piece whose bytes were not read; undefined for every other piece. */
export function unreadFault(body: HttpBody): Fault | undefined {
  return hasAny ? unread.get(body) : undefined;
}
