import type { ProcessingRequest } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { ProcessCall } from "../../src/grpc/process-call.ts";
import type { MemoryAccount } from "../../src/memory/memory-account.ts";
import type { Processor } from "../../src/processor/definition.ts";
import type { SessionEnd } from "../../src/session/session-observer.ts";
import { SessionSet } from "../../src/session/session-set.ts";
import { patientRules } from "../session/patient-rules.ts";
import { FakeStream, headerList, requestBytes } from "./fake-stream.ts";

/** A Process call over a stream of the test, and what its session reported. */
export interface StartedCall {
  readonly call: ProcessCall;
  readonly stream: FakeStream;
  readonly sessions: SessionSet;
  readonly ends: SessionEnd[];
  /** Bytes of the request. Their buffer is not overwritten afterwards, like that of a socket. */
  receive(...messages: readonly ProcessingRequest[]): void;
  receiveBytes(bytes: Uint8Array): void;
}

/** Options of a started call. */
interface CallSetup {
  readonly timeout?: string;
  readonly maxMessageBytes?: number;
  /** More headers of the call. */
  readonly metadata?: readonly (readonly [name: string, value: string])[];
  readonly memory?: MemoryAccount;
}

export function startCall(
  processor: Processor,
  { timeout, maxMessageBytes = 1 << 20, metadata = [], memory }: CallSetup = {},
): StartedCall {
  const stream = new FakeStream();
  const sessions = new SessionSet();
  const ends: SessionEnd[] = [];
  const headers = headerList(...(timeout === undefined ? [] : [["grpc-timeout", timeout] as const]), ...metadata);
  const observer = { message: () => undefined, ended: (end: SessionEnd) => ends.push(end) };
  const call = new ProcessCall(stream, headers, {
    processor,
    maxMessageBytes,
    memory,
    observer,
    sessions,
    rules: patientRules(processor),
  });
  const receiveBytes = (bytes: Uint8Array) => {
    const buffer = Buffer.concat([Buffer.alloc(3, 0xee), bytes, Buffer.alloc(3, 0xee)]);
    call.onData(buffer, 3, 3 + bytes.length);
  };
  return {
    call,
    stream,
    sessions,
    ends,
    receive: (...messages) => receiveBytes(requestBytes(...messages)),
    receiveBytes,
  };
}
