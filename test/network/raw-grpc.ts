import { type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders } from "node:http2";
import { Readable } from "node:stream";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { onTestFinished } from "vitest";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

export const PROCESS_PATH = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

/** An error code of RST_STREAM (RFC 9113 7). */
export type ResetCode = "INTERNAL_ERROR" | "NO_ERROR" | "CANCEL";

/** A Process call over bare HTTP/2, whose end the test decides, as Envoy's filter does. */
export interface RawCall {
  readonly stream: ClientHttp2Stream;
  send(...messages: readonly ProcessingRequest[]): void;
  /** Sends RST_STREAM, and no END_STREAM in front of it, as `stream.close()` would. */
  reset(code: ResetCode): void;
  /** The next answer; undefined when there are no more. */
  next(): Promise<ProcessingResponse | undefined>;
  /** `:status` of the answer; undefined if the stream closed without any. */
  readonly httpStatus: Promise<number | undefined>;
  /** The `grpc-status` that ends the answers; undefined if the stream closed without one. */
  readonly status: Promise<string | undefined>;
  /** `grpc-message`, once {@link RawCall.status} has resolved. */
  message(): string;
}

/** Opens an HTTP/2 connection that is destroyed when the test is over. */
export function http2Session(port: number): ClientHttp2Session {
  // Tests may have more to write than the 10 MB that Node keeps by default.
  const session = connect(`http://127.0.0.1:${port}`, { maxSessionMemory: 256 });
  session.on("error", () => undefined);
  onTestFinished(() => session.destroy());
  return session;
}

/** Opens a Process call; `headers` override or add. */
export function openRawCall(session: ClientHttp2Session, headers: Record<string, string> = {}): RawCall {
  const fixed = { ":method": "POST", ":path": PROCESS_PATH, "content-type": "application/grpc", te: "trailers" };
  const canceled = new AbortController();
  const stream = session.request({ ...fixed, ...headers }, { signal: canceled.signal });
  stream.on("error", () => undefined);
  let end: IncomingHttpHeaders = {};
  const status = new Promise<string | undefined>((resolve) => {
    const keep = (received: IncomingHttpHeaders) => {
      if (received["grpc-status"] === undefined) return;
      end = received;
      resolve(received["grpc-status"] as string);
    };
    stream.on("response", keep).on("trailers", keep);
    stream.on("close", () => resolve(undefined));
  });
  const httpStatus = new Promise<number | undefined>((resolve) => {
    stream.on("response", (received) => resolve(received[":status"]));
    stream.on("close", () => resolve(undefined));
  });
  const answers = readAnswers(stream);
  return {
    stream,
    send(...messages) {
      for (const message of messages) stream.write(frame(toBinary(ProcessingRequestSchema, message)));
    },
    reset(code) {
      if (code === "CANCEL") canceled.abort();
      else stream.destroy(code === "NO_ERROR" ? undefined : new Error("reset"));
    },
    next: async () => (await answers.next()).value as ProcessingResponse | undefined,
    httpStatus,
    status,
    message: () => decodeURIComponent(String(end["grpc-message"])),
  };
}

/** A gRPC message as it travels: a flag, four bytes of length, the bytes. */
export function frame(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Reads on even if no caller asks for answers, since trailers come after them. */
function readAnswers(stream: ClientHttp2Stream): AsyncIterator<ProcessingResponse> {
  const answers = new Readable({ objectMode: true, highWaterMark: Number.MAX_SAFE_INTEGER, read: () => undefined });
  let waiting: Buffer = Buffer.alloc(0);
  stream.on("data", (chunk: Buffer) => {
    waiting = Buffer.concat([waiting, chunk]);
    for (let end = frameEnd(waiting); waiting.length >= end; end = frameEnd(waiting)) {
      answers.push(fromBinary(ProcessingResponseSchema, waiting.subarray(5, end)));
      waiting = waiting.subarray(end);
    }
  });
  // A stream that is reset has no end, and one whose own side is open is not closed by its end.
  let over = false;
  const end = () => {
    if (!over) answers.push(null);
    over = true;
  };
  stream.once("end", end).once("close", end);
  return answers[Symbol.asyncIterator]();
}

function frameEnd(waiting: Buffer): number {
  return waiting.length < 5 ? Number.POSITIVE_INFINITY : 5 + waiting.readUInt32BE(1);
}
