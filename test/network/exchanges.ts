import { create } from "@bufbuild/protobuf";
import { ProcessingMode_BodySendMode } from "../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
  ProtocolConfigurationSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { hello } from "../../src/builtin/hello.ts";
import {
  appendHeader,
  compose,
  defineProcessor,
  type FaultPolicy,
  immediateResponse,
  type Processor,
  removeHeader,
  setHeader,
} from "../../src/index.ts";
import type { BodyMode } from "../../src/protocol/body-mode.ts";
import type { ServeOptions } from "../../src/server.ts";
import {
  requestBody,
  requestHeaders,
  requestTrailers,
  responseBody,
  responseHeaders,
  responseTrailers,
} from "./messages.ts";

/** One transaction, and what is to come of it whichever way it takes. */
export interface ExchangeCase {
  readonly name: string;
  readonly processor: Processor;
  readonly messages: readonly ProcessingRequest[];
  /** The member of each answer in order; both directions where they are apart. */
  readonly answers: readonly string[];
  /** gRPC status; default OK. */
  readonly code?: number;
  /** The same from the debug service, whose caller is not an Envoy; default `code`. */
  readonly debugCode?: number;
  /** What the operator decides. Default: nothing. */
  readonly options?: Pick<ServeOptions, "onFault" | "shadow" | "envoy">;
  /** Asynchronous handlers of two directions: only the order within each is certain. */
  readonly unordered?: boolean;
}

/** Edits everything that can be edited. */
export const editor = defineProcessor({
  name: "editor",
  state: () => ({ user: "" }),
  requestHeaders(_headers, tx) {
    tx.state.user = tx.request.get("x-user") ?? "stranger";
    return [setHeader("x-set", "grüße"), appendHeader("x-bytes", Uint8Array.of(0xff, 0x80)), removeHeader("cookie")];
  },
  requestTrailers: () => setHeader("x-request-trailer", "1"),
  responseHeaders: (_headers, tx) => [setHeader(":status", "201"), setHeader("x-user", tx.state.user)],
  responseTrailers: () => [appendHeader("x-response-trailer", "2"), removeHeader("grpc-status")],
});

const slow = defineProcessor({
  name: "slow",
  state: () => ({ seen: "" }),
  async requestHeaders(_headers, tx) {
    await turn();
    tx.state.seen = tx.request.get("x-user") ?? "stranger";
    return setHeader("x-slow", "1");
  },
  async responseHeaders() {
    await turn();
    return setHeader("x-slow", "2");
  },
});

const guard = defineProcessor({
  name: "guard",
  requestHeaders: () =>
    immediateResponse(429, { json: { error: "später" }, headers: { "retry-after": ["1", "2"] }, grpcStatus: 8 }),
});

const broken = defineProcessor({
  name: "broken",
  responseHeaders: () => {
    throw new Error("no");
  },
});

const rejecting = defineProcessor({
  name: "rejecting",
  async requestHeaders() {
    await turn();
    throw new Error("no");
  },
});

const hanging = defineProcessor({ name: "hanging", requestHeaders: () => new Promise<undefined>(() => undefined) });

const hurried = defineProcessor({
  name: "hurried",
  timeoutMs: 1,
  onFault: "open",
  requestHeaders: () => new Promise<undefined>(() => undefined),
});

const unready = (onFault: FaultPolicy) =>
  defineProcessor({
    name: "unready",
    onFault,
    setup: () => new Promise(() => undefined),
    requestHeaders: () => undefined,
  });

const invalid = defineProcessor({ name: "invalid", requestHeaders: () => setHeader("content-length", "1") });

const six = [
  requestHeaders([
    [":path", "/a?b"],
    ["x-user", "bob"],
    ["cookie", "c"],
  ]),
  requestBody("request body", false),
  requestTrailers([["a", "b"]]),
  responseHeaders([[":status", "200"]]),
  responseBody("response body", false),
  responseTrailers([["c", "d"]]),
];
const SIX = ["requestHeaders", "requestBody", "requestTrailers", "responseHeaders", "responseBody", "responseTrailers"];

const noise = Uint8Array.from({ length: 150_000 }, (_, index) => (index * 31 + (index >> 8)) % 251);

function inMode(mode: BodyMode): Pick<ProcessingRequest, "protocolConfig"> {
  const number = ProcessingMode_BodySendMode[mode];
  const modes = { requestBodyMode: number, responseBodyMode: number };
  return { protocolConfig: create(ProtocolConfigurationSchema, modes) };
}

function observed(...messages: readonly ProcessingRequest[]): ProcessingRequest[] {
  return messages.map((message) => ({ ...message, observabilityMode: true }));
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function bodyMode(mode: BodyMode, pieces: number): ExchangeCase {
  const answer = (member: string) => Array.from({ length: pieces }, () => member);
  return {
    name: `bodies of 150,000 bytes both ways: ${mode}`,
    processor: hello,
    messages: [
      requestHeaders([], false, inMode(mode)),
      requestBody(noise, true),
      responseHeaders(),
      responseBody(noise, true),
    ],
    answers: ["requestHeaders", ...answer("requestBody"), "responseHeaders", ...answer("responseBody")],
  };
}

/** Transactions that no two ways into the server may tell apart. */
export const EXCHANGES: readonly ExchangeCase[] = [
  { name: "no message at all", processor: hello, messages: [], answers: [] },
  { name: "headers alone", processor: hello, messages: [requestHeaders([], true)], answers: ["requestHeaders"] },
  { name: "all six phases", processor: hello, messages: six, answers: SIX },
  { name: "edits of headers and trailers, and state", processor: editor, messages: six, answers: SIX },
  { name: "several processors", processor: compose(hello, editor, slow), messages: six, answers: SIX, unordered: true },
  bodyMode("BUFFERED", 1),
  bodyMode("BUFFERED_PARTIAL", 1),
  bodyMode("STREAMED", 1),
  bodyMode("FULL_DUPLEX_STREAMED", 3),
  bodyMode("GRPC", 1),
  {
    name: "an immediate response, with more behind it",
    processor: guard,
    messages: six,
    answers: ["immediateResponse"],
  },
  {
    name: "an immediate response behind answers",
    processor: defineProcessor({ name: "late", responseHeaders: () => immediateResponse(502, { text: "no" }) }),
    messages: six,
    answers: ["requestHeaders", "requestBody", "requestTrailers", "immediateResponse"],
  },
  {
    name: "both directions interleaved",
    processor: editor,
    messages: [0, 3, 1, 4, 5, 2].flatMap((index) => six[index] ?? []),
    answers: [0, 3, 1, 4, 5, 2].flatMap((index) => SIX[index] ?? []),
  },
  {
    name: "asynchronous handlers of both directions",
    processor: slow,
    messages: six,
    answers: SIX,
    unordered: true,
  },
  {
    name: "messages behind the end of their direction",
    processor: hello,
    messages: [requestHeaders([], true), requestBody("late"), requestTrailers(), responseHeaders([], true)],
    answers: ["requestHeaders", "responseHeaders"],
  },
  {
    name: "messages without a member, and of flow control",
    processor: hello,
    messages: [
      create(ProcessingRequestSchema),
      requestHeaders(),
      create(ProcessingRequestSchema, { clientWindowUpdate: {} }),
      responseHeaders(),
    ],
    answers: ["requestHeaders", "responseHeaders"],
  },
  { name: "observability", processor: editor, messages: observed(...six), answers: [] },
  { name: "observability of slow handlers", processor: slow, messages: observed(...six), answers: [] },
  { name: "observability of a guard", processor: guard, messages: observed(...six), answers: [] },
  {
    name: "observability of a handler that throws",
    processor: broken,
    messages: observed(...six),
    answers: [],
    // An error would fail what Envoy merely copies to us; a person who debugs wants to know.
    debugCode: 13,
  },
  {
    name: "a handler that throws, behind answers",
    processor: broken,
    messages: six,
    answers: ["requestHeaders", "requestBody", "requestTrailers"],
    code: 13,
  },
  { name: "a handler that rejects", processor: rejecting, messages: [requestHeaders()], answers: [], code: 13 },
  { name: "an effect that Envoy would refuse", processor: invalid, messages: six, answers: [], code: 13 },
  {
    name: "headers behind a body",
    processor: hello,
    messages: [requestBody("body", false), requestHeaders()],
    answers: ["requestBody"],
    code: 3,
  },
  { name: "a handler that hangs", processor: hanging, messages: [requestHeaders()], answers: [], code: 4 },
  { name: "a handler that hangs, open", processor: hurried, messages: six, answers: SIX, unordered: true },
  {
    name: "a handler that throws, closed by the operator",
    processor: broken,
    options: { onFault: "closed" },
    messages: six,
    answers: ["requestHeaders", "requestBody", "requestTrailers", "immediateResponse"],
  },
  {
    name: "a handler that throws, closed where Envoy takes no immediate response",
    processor: broken,
    options: { onFault: "closed", envoy: { disableImmediateResponse: true } },
    messages: six,
    answers: ["requestHeaders", "requestBody", "requestTrailers"],
    code: 13,
  },
  {
    name: "headers behind a body, closed",
    processor: defineProcessor({ name: "signer", responseHeaders: () => setHeader("x-signed", "yes") }),
    options: { onFault: "closed" },
    messages: [requestBody("body", false), requestHeaders()],
    answers: ["requestBody", "immediateResponse"],
  },
  {
    name: "a body whose headers were skipped before a closed handler",
    processor: hello,
    options: { onFault: "closed" },
    messages: [requestBody("body", false)],
    answers: ["immediateResponse"],
  },
  { name: "shadow mode", processor: editor, options: { shadow: true }, messages: six, answers: SIX },
  { name: "shadow mode of a guard", processor: guard, options: { shadow: true }, messages: six, answers: SIX },
  {
    name: "shadow mode of a handler that throws",
    processor: broken,
    options: { shadow: true, onFault: "closed" },
    messages: six,
    answers: SIX,
  },
  { name: "a processor that is not ready", processor: unready("envoy"), messages: six, answers: [], code: 14 },
  {
    name: "a processor that is not ready, closed",
    processor: unready("closed"),
    messages: six,
    answers: ["immediateResponse"],
  },
  { name: "a processor that is not ready, open", processor: unready("open"), messages: six, answers: SIX },
];
