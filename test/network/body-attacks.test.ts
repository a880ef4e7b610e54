import { describe, expect, test } from "vitest";
import {
  appendChunk,
  compose,
  defineProcessor,
  type FaultPolicy,
  type Processor,
  replaceText,
} from "../../src/index.ts";
import type { BodyMode } from "../../src/protocol/body-mode.ts";
import { bodyModes } from "../protocol/messages.ts";
import { serverForTest } from "../server/start-server.ts";
import { type Deferred, deferred } from "../session/deferred.ts";
import { requestBody, requestHeaders, requestTrailers } from "./messages.ts";
import { http2Session, openRawCall, type RawCall } from "./raw-grpc.ts";

const KINDS = ["whole", "chunks", "stream", "inspect"] as const;
type Kind = (typeof KINDS)[number];
const MODES = ["BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"] as const;
/** Length of the body, so that a whole body in STREAMED has an end. */
const LENGTH = "6";

interface Life {
  begun: number;
  finished: number;
  done: number;
  /** What handlers that hang wait for. */
  readonly hanging: Deferred<undefined>;
}

/** Fails at the last piece of a body, in the way that is wanted. */
function failing(kind: Kind, act: "throw" | "hang", life: Life): Processor {
  const fail = () => {
    if (act === "hang") return life.hanging.promise;
    throw new Error("attacked");
  };
  let seen = 0;
  const piece = <T>(result: T): T | Promise<undefined> => (++seen % 3 === 0 ? fail() : result);
  const handlers = {
    whole: { read: "text", handle: fail },
    chunks: { read: "chunks", chunk: (bytes: Uint8Array) => piece(bytes), end: () => appendChunk("!") },
    inspect: { read: "inspect", chunk: () => piece(undefined) },
    stream: {
      read: "stream",
      async *handle(chunks: AsyncIterable<Uint8Array>) {
        life.begun++;
        try {
          for await (const chunk of chunks) yield (await piece(chunk)) ?? chunk;
        } finally {
          life.finished++;
        }
      },
    },
  } as const;
  return defineProcessor({
    name: "failing",
    onFault: "envoy",
    requestBody: handlers[kind] as never,
    done: () => void life.done++,
  });
}

const held = defineProcessor({ name: "held", requestBody: { read: "text", handle: (text) => replaceText(text) } });

function sendPieces(call: RawCall, mode: BodyMode, last: "end" | "trailers"): void {
  call.send(requestHeaders([["content-length", LENGTH]], false, bodyModes(mode)));
  const pieces = mode === "BUFFERED" ? ["abcdef"] : ["ab", "cd", "ef"];
  for (const [index, text] of pieces.entries())
    call.send(requestBody(text, last === "end" && index === pieces.length - 1));
  if (last === "trailers") call.send(requestTrailers([["x-t", "1"]]));
}

describe.each(MODES)("handlers of bodies in %s", (mode) => {
  test.each(KINDS)(
    "a handler that reads %s keeps no memory if it fails, hangs or loses its client",
    async (kind) => {
      for (const act of ["throw", "hang"] as const) {
        for (const tightened of ["open", "closed"] satisfies FaultPolicy[]) {
          const life: Life = { begun: 0, finished: 0, done: 0, hanging: deferred() };
          const { port, metric } = await serverForTest(compose(failing(kind, act, life), held), { onFault: tightened });
          const session = http2Session(port);
          const status = async () => {
            const call = openRawCall(session);
            sendPieces(call, mode, "end");
            call.stream.end();
            let isRefused = false;
            for (let answer = await call.next(); answer !== undefined; answer = await call.next())
              isRefused ||= answer.response.case === "immediateResponse";
            return isRefused ? "refused" : await call.status;
          };
          // A piece in three fails: of a buffered body that is every third.
          const told = [await status(), await status(), await status()];
          const isWhole = mode === "BUFFERED" && kind !== "whole";
          const failures = told.filter((end) => end === "refused" || (end !== "0" && end !== undefined));
          expect(failures).toHaveLength(isWhole ? 1 : 3);
          const left = openRawCall(session);
          sendPieces(left, mode, "trailers");
          left.reset("CANCEL");
          await expect.poll(() => metric("ext_proc_streams_active")).toBe(0);
          const heldBytes = () => metric('ext_proc_memory_held_bytes{kind="bodies"}');
          // What a handler was given stays counted until it settles.
          if (act === "hang") expect(await heldBytes()).toBeGreaterThan(0);
          life.hanging.resolve(undefined);
          await expect.poll(heldBytes).toBe(0);
          await expect.poll(() => life.begun - life.finished).toBe(0);
          expect(life.done).toBeGreaterThanOrEqual(3);
        }
      }
    },
    30_000,
  );
});
