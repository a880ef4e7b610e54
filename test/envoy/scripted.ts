// A scripted ext_proc server for real Envoys: it answers what a script says (test/scenarios/script.ts), also what no
// correct server would, and records what Envoy did. It runs on node:http2 and shares nothing with src/.
//
//   const server = await startScriptedServer({ rules: [{ on: "requestHeaders", do: [{ reset: 8 }] }] });
//   …Envoy's cluster points at server.port…
//   const call = await server.call(0);             // the first call, once it has begun
//   await call.ended;                              // both sides are done, or the stream was reset
//   call.kinds                                     // ["requestHeaders", "responseHeaders"]
//   call.received[0]                               // a ProcessingRequest
//   call.metadata["x-tenant"]                      // gRPC initial metadata
//   call.halfClosed, call.resetCode                // what Envoy did to the stream; undefined if it did not
//   await call.until(() => call.received.length === 3);
//   `server.play({ … })`                           // another script for the next calls
//   await server.close();
//
// A function instead of a script chooses one by the call's metadata.
import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { MessageKind, Script } from "../scenarios/script.ts";
import { type CallRecorder, recordCall } from "./scripted-call.ts";

/** A script, or what chooses one by a call's initial metadata. */
export type ScriptSource = Script | ((metadata: IncomingHttpHeaders) => Script | ScriptedCallOptions);

/** A script with a function that watches it. */
export interface ScriptedCallOptions {
  readonly script: Script;
  /** Called on everything that happens in the call, once it is recorded. */
  readonly onEvent?: ((event: CallEvent, call: ScriptedCall) => void) | undefined;
}

/** What happened in a call, in order. */
export type CallEvent =
  | { readonly kind: "received"; readonly message: ProcessingRequest }
  /** `response` is missing where raw bytes were sent. */
  | { readonly kind: "sent"; readonly bytes: Uint8Array; readonly response?: ProcessingResponse }
  /** The server's own end: `end`, `halfClose`, `httpStatus`, `reset` or `disconnect` of the script. */
  | { readonly kind: "serverEnded"; readonly how: string }
  /** END_STREAM from Envoy. */
  | { readonly kind: "halfClosed" }
  /** RST_STREAM from Envoy, or the loss of its connection (then without a code). */
  | { readonly kind: "reset"; readonly code: number | undefined }
  /** Nothing follows. */
  | { readonly kind: "closed" };

/** One call of ExternalProcessor/Process, as far as it has come. */
export interface ScriptedCall {
  /** Initial metadata, pseudo-headers too. */
  readonly metadata: IncomingHttpHeaders;
  readonly received: readonly ProcessingRequest[];
  /** The kinds of `received`. */
  readonly kinds: readonly MessageKind[];
  /** What was sent as JSON; raw bytes are in `events` only. */
  readonly sent: readonly ProcessingResponse[];
  readonly events: readonly (CallEvent & { readonly atMs: number })[];
  readonly halfClosed: boolean;
  /** The code of Envoy's RST_STREAM; undefined if it sent none. */
  readonly resetCode: number | undefined;
  /** Settles when the stream is gone. */
  readonly ended: Promise<void>;
  /** Steps that are still to be taken, a wait included. */
  readonly busy: boolean;
  /** Settles when `condition` holds, looked at after each event; rejects once the call has ended without. */
  until(condition: () => boolean): Promise<void>;
}

/** The server and what reached it. */
export interface ScriptedServer {
  readonly port: number;
  readonly calls: readonly ScriptedCall[];
  /** The call with this index, once it has begun. */
  call(index: number): Promise<ScriptedCall>;
  /** Sets the script for the next calls. */
  play(source: ScriptSource): void;
  close(): Promise<void>;
}

/** Starts the server on a free port of the loopback. */
export async function startScriptedServer(source: ScriptSource): Promise<ScriptedServer> {
  let current = source;
  const calls: CallRecorder[] = [];
  const waiting: (() => void)[] = [];
  const sessions = new Set<ServerHttp2Session>();
  // Envoy resets every stream; node would take that for an attack.
  const many = 1e9;
  const server = createServer({
    ...{ streamResetBurst: many, streamResetRate: many },
    maxSessionInvalidFrames: many,
    maxSessionRejectedStreams: many,
    settings: { initialWindowSize: 1 << 24, maxConcurrentStreams: 1 << 20 },
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.setLocalWindowSize(1 << 26);
    session.on("error", () => {});
    session.on("close", () => sessions.delete(session));
  });
  server.on("sessionError", () => {});
  server.on("stream", (stream: ServerHttp2Stream, metadata: IncomingHttpHeaders) => {
    const chosen = typeof current === "function" ? current(metadata) : current;
    const options = "script" in chosen ? chosen : { script: chosen };
    calls.push(recordCall(stream, metadata, options));
    for (const wake of waiting.splice(0)) wake();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    calls,
    async call(index) {
      for (;;) {
        const call = calls[index];
        if (call) return call;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
    play: (next) => {
      current = next;
    },
    close: () => closeServer(server, sessions),
  };
}

function closeServer(server: Http2Server, sessions: ReadonlySet<ServerHttp2Session>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    for (const session of sessions) session.destroy();
  });
}
