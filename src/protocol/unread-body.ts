import type { HttpBody } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Fault } from "./fault.ts";

const unread = new WeakMap<HttpBody, Fault>();
/** Most servers never meet such a body, and need not look for one. */
let hasAny = false;

/** Marks a piece of a body whose bytes were too many to be read, with the fault for a handler that must see them. */
export function markUnread(body: HttpBody, fault: Fault): void {
  hasAny = true;
  unread.set(body, fault);
}

/** The fault of a piece of a body whose bytes were not read; undefined for every other piece. */
export function unreadFault(body: HttpBody): Fault | undefined {
  return hasAny ? unread.get(body) : undefined;
}
