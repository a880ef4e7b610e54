import type { HttpHeaders } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { HeaderChange } from "./header-mutation.ts";
import { bytesToText } from "./header-text.ts";
import { header } from "./headers.ts";
import type { PhaseMessage } from "./phase.ts";

/** Statuses after which an HTTP/1.1 client reads no body (RFC 9112 6.3), whatever is sent. */
const BODILESS: ReadonlySet<string | undefined> = new Set(["204", "304"]);
/** Methods that decide, with the status, where a response ends. */
const FRAMING_METHODS: readonly string[] = ["HEAD", "CONNECT"];

/**
 * Says why a change would leave a message with another end than its receiver takes it to have; undefined where it does
 * not. Envoy checks none of it: a 204 with a body, or the body of a GET that its client sent as HEAD, is read as the
 * beginning of the next response on the connection.
 */
export function refuseFramingChange(change: HeaderChange, message: PhaseMessage): string | undefined {
  if (change.op === "remove") return undefined;
  if (change.name === ":status" && (message.case === "responseHeaders" || message.case === "responseBody")) {
    const status = bytesToText(change.value);
    // Where there is a piece of a body, there is a body, though it may be empty.
    const hasBody = message.case === "responseBody" || !message.value.endOfStream;
    return BODILESS.has(status) && hasBody
      ? `status ${status} has no body, and this response has one; use immediateResponse(${status})`
      : undefined;
  }
  if (change.name !== ":method") return undefined;
  if (message.case === "requestBody") return "Envoy takes another method beside the headers only";
  if (message.case !== "requestHeaders") return undefined;
  const [from, to] = [header(message.value, ":method"), bytesToText(change.value)];
  const framing = FRAMING_METHODS.find((method) => method === to || method === from);
  return framing === undefined || from === to
    ? undefined
    : `a request cannot become or cease to be ${framing}: its client would look for the end of the response elsewhere`;
}

/** True for the headers of a response that has no body whatever follows: to HEAD, 204, 304. */
export function hasNoBody(response: HttpHeaders, request: HttpHeaders | undefined): boolean {
  return BODILESS.has(header(response, ":status")) || (request && header(request, ":method")) === "HEAD";
}

/**
 * True where a response without a body gets a status with one: its `content-length` is that of a body which does not
 * come, as a 304 may have it, and has to go.
 */
export function outlivesLength(headers: HttpHeaders | undefined, changes: readonly HeaderChange[]): boolean {
  if (!headers?.endOfStream || !changes.some(({ name }) => name === ":status")) return false;
  return BODILESS.has(header(headers, ":status"));
}
