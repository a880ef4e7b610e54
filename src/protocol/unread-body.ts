import type { HttpBody } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Fault } from "./fault.ts";

const UNREAD: unique symbol = Symbol("unread body");

/** Marks a piece of a body that had too many bytes to be read. The fault is for a handler that must see the bytes. */
export function markUnread(body: HttpBody, fault: Fault): void {
  // It is not enumerable, so a copy of the message does not have it.
  Object.defineProperty(body, UNREAD, { value: fault });
}

/** Returns the fault of a piece whose bytes were not read; undefined for every other piece. */
export function unreadFault(body: HttpBody & { readonly [UNREAD]?: Fault }): Fault | undefined {
  return body[UNREAD];
}
