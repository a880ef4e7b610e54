import { create } from "@bufbuild/protobuf";
import { HeaderMapSchema, HeaderValueSchema } from "../../gen/envoy/config/core/v3/base_pb.js";
import {
  addHeaderIfAbsent,
  appendHeader,
  type EditablePhase,
  type Effect,
  type HttpHeaders,
  type HttpTrailers,
  immediateResponse,
  overrideMode,
  overwriteHeaderIfExists,
  removeHeader,
  setAuthority,
  setHeader,
  setMethod,
  setPath,
  streamedImmediateResponse,
} from "../../src/index.ts";

/** What a handler does about how a request is framed, in request headers or request trailers. */
export interface FramingAttempt {
  readonly what: string;
  /** Returns what the handler returns. Types are not an obstacle if it is deliberate. */
  readonly handle: (message: HttpHeaders | HttpTrailers) => unknown;
}

/** Framing headers in many spellings, with values that would change where a body ends. */
const FRAMING: readonly (readonly [name: string, value: string])[] = [
  ["content-length", "3"],
  ["Content-Length", "0"],
  ["CONTENT-LENGTH", "1000"],
  ["content-length", "3, 3"],
  ["content-length", ""],
  ["content-length", "-1"],
  ["transfer-encoding", "chunked"],
  ["Transfer-Encoding", "identity"],
  ["transfer-encoding", "gzip, chunked"],
  ["TRANSFER-ENCODING", "xchunked"],
  ["connection", "close"],
  ["Connection", "content-length"],
  ["connection", "transfer-encoding, upgrade"],
  ["keep-alive", "timeout=1"],
  ["proxy-connection", "close"],
  ["te", "trailers, chunked"],
  ["trailer", "content-length"],
  ["upgrade", "websocket"],
];

const ODD_NAMES: readonly string[] = [
  "content-length ",
  " content-length",
  "content-length\t",
  "content-length:",
  "content-length: 3\r\nx",
  "x: 1\r\ncontent-length",
  "content-length\0",
  "content-length\u00a0",
  "content\u2010length",
  "content_length",
  ":content-length",
  "",
  // Lower-cased these have ASCII letters: the Kelvin sign, and the long s by upper-casing.
  "\u212aeep-alive",
  "tran\u017ffer-encoding",
  "transfer-encoding\u000b",
  "\ufeffcontent-length",
];

const ODD_VALUES: readonly string[] = [
  "1\r\ncontent-length: 3",
  "1\ncontent-length: 3",
  "1\rcontent-length: 3",
  "1\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n",
  "1\r\n content-length: 3",
  "\0",
  "1\u000acontent-length: 3",
  "\u560d\u560acontent-length: 3",
];

const bytes = (text: string) => new TextEncoder().encode(text);

function attempt(what: string, handle: FramingAttempt["handle"]): FramingAttempt {
  return { what: JSON.stringify(what).slice(1, -1), handle };
}

const byName = FRAMING.flatMap(([name, value]) => [
  attempt(`sets ${name}: ${value}`, () => setHeader(name, value)),
  attempt(`sets ${name}: ${value} as bytes`, () => setHeader(name, bytes(value))),
  attempt(`appends ${name}: ${value}`, () => appendHeader(name, value)),
  attempt(`adds ${name}: ${value} if absent`, () => addHeaderIfAbsent(name, value)),
  attempt(`overwrites ${name}: ${value} if it exists`, () => overwriteHeaderIfExists(name, value)),
  attempt(`removes ${name}, and sets another header`, () => [setHeader("x-other", "1"), removeHeader(name)]),
]);

const byOddity = [
  ...ODD_NAMES.flatMap((name) => [
    attempt(`sets the name ${name}`, () => setHeader(name, "3")),
    attempt(`removes the name ${name}`, () => removeHeader(name)),
  ]),
  ...ODD_VALUES.flatMap((value) => [
    attempt(`sets a value ${value}`, () => setHeader("x-value", value)),
    attempt(`sets the bytes ${value}`, () => setHeader("x-value", bytes(value))),
  ]),
];

const byLine = [
  ...[" HTTP/1.1\r\ncontent-length: 3\r\nx: ", "a b", "/a b", "\r\n/", "/\0", "", "//host/", "/#x"].flatMap((path) => [
    attempt(`sets the path ${path}`, () => setPath(path)),
    attempt(`sets :path ${path}`, () => setHeader(":path", bytes(path))),
  ]),
  ...["GET", "HEAD", "CONNECT", "POST / HTTP/1.1\r\ncontent-length: 3\r\nx: ", "PO ST", ""].flatMap((method) => [
    attempt(`sets the method ${method}`, () => setMethod(method)),
    attempt(`sets :method ${method}`, () => setHeader(":method", method)),
  ]),
  ...["x\r\ncontent-length: 3", "x content-length", ""].flatMap((authority) => [
    attempt(`sets the authority ${authority}`, () => setAuthority(authority)),
    attempt(`sets host ${authority}`, () => setHeader("host", authority)),
  ]),
];

/** An effect whose name, or value, is another one from the n-th look on. */
function shifty(field: "name" | "value", from: unknown, to: unknown, looks: number): Effect<EditablePhase> {
  const effect = setHeader("x-shifty", "1");
  let seen = 0;
  Object.defineProperty(effect, field, { enumerable: true, get: () => (++seen > looks ? to : from) });
  return effect;
}

const LOOKS = [0, 1, 2, 3, 4, 5, 6];

const byForgery = [
  attempt("copies an effect under another name", () => ({ ...setHeader("x-a", "3"), name: "content-length" })),
  attempt("changes an effect's kind", () => ({ ...setHeader("content-length", "3"), kind: "setPath" })),
  attempt("names a header by a String object", () => setHeader(new String("content-length") as string, "3")),
  attempt("names a header by an array", () => setHeader(["content-length"] as unknown as string, "3")),
  attempt("names a header by an object", () =>
    setHeader({ toString: () => "content-length", toLowerCase: () => "x-a" } as unknown as string, "3"),
  ),
  attempt("puts an array of header lines for a value", () => setHeader("x-a", ["1\r\ncontent-length: 3"] as never)),
  ...LOOKS.flatMap((looks) => [
    attempt(`has a name that changes after ${looks} looks`, () => shifty("name", "x-a", "content-length", looks)),
    attempt(`has a value that changes after ${looks} looks`, () =>
      shifty("value", "1", bytes("1\r\ncontent-length: 3"), looks),
    ),
    attempt(`has bytes that change after ${looks} looks`, () =>
      shifty("value", bytes("1"), bytes("1\r\ncontent-length: 3"), looks),
    ),
  ]),
  attempt("changes bytes once they are returned", () => {
    const value = bytes("1234567890");
    queueMicrotask(() => value.set(bytes("1\r\ncontent")));
    return setHeader("x-late", value);
  }),
  attempt("changes an effect once it is returned", async () => {
    const effect = setHeader("x-late", "3") as unknown as { name: string };
    queueMicrotask(() => {
      effect.name = "content-length";
    });
    return effect;
  }),
  attempt("writes into the message", (message) => {
    const map = ("endOfStream" in message ? message.headers : message.trailers) ?? create(HeaderMapSchema);
    for (const entry of map.headers) if (entry.key === "content-length") entry.rawValue = bytes("3");
    map.headers.push(create(HeaderValueSchema, { key: "transfer-encoding", rawValue: bytes("chunked") }));
    if ("endOfStream" in message) message.endOfStream = !message.endOfStream;
    return setHeader("x-a", "1");
  }),
];

const byReply = [
  ...FRAMING.flatMap(([name, value]) => [
    attempt(`replies with ${name}: ${value}`, () => immediateResponse(403, { text: "no", headers: { [name]: value } })),
    attempt(`streams a reply with ${name}: ${value}`, () =>
      streamedImmediateResponse(403, { chunks: ["no"], headers: { [name]: value } }),
    ),
    attempt(`streams a reply with the trailer ${name}: ${value}`, () =>
      streamedImmediateResponse(403, { chunks: ["no"], trailers: { [name]: value } }),
    ),
  ]),
  ...(["NONE", "BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"] as const).map((mode) =>
    attempt(`overrides the mode to ${mode}`, () => overrideMode({ requestBody: mode } as never)),
  ),
];

/** Everything that a handler may try; an index names an attempt. */
export const FRAMING_ATTEMPTS: readonly FramingAttempt[] = [
  ...byName,
  ...byOddity,
  ...byLine,
  ...byForgery,
  ...byReply,
];
