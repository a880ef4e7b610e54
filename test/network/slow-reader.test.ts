import { expect, test } from "vitest";
import type { ProcessingResponse } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { defineProcessor } from "../../src/index.ts";
import { bodyModes } from "../protocol/messages.ts";
import { type StartedServer, serverForTest } from "../server/start-server.ts";
import { requestBody, requestHeaders } from "./messages.ts";
import { http2Session, openRawCall } from "./raw-grpc.ts";

const PIECE_BYTES = 1 << 20;
const PIECES = 256;

/** Makes 256 MiB of one chunk. */
function expander() {
  const made = { pieces: 0, isOver: false };
  const processor = defineProcessor({
    name: "p",
    requestBody: {
      read: "stream",
      async *handle(chunks) {
        try {
          for await (const _chunk of chunks)
            for (let at = 0; at < PIECES; at++) {
              made.pieces++;
              yield new Uint8Array(PIECE_BYTES);
            }
        } finally {
          made.isOver = true;
        }
      },
    },
  });
  return { processor, made };
}

/** How many pieces were made once no more are: the same number many times over. */
async function madeAtRest(made: { readonly pieces: number }, { metric }: StartedServer): Promise<number> {
  let count = -1;
  for (let same = 0; same < 30 || count === 0; same++) {
    // A round through the same event loop.
    await metric("ext_proc_streams_active");
    if (made.pieces !== count) same = 0;
    count = made.pieces;
  }
  return count;
}

test("a handler that makes 256 MiB from one chunk makes only as much as the client reads, and ends with the stream", async () => {
  const { processor, made } = expander();
  const started = await serverForTest(processor);
  const call = openRawCall(http2Session(started.port));
  call.send(requestHeaders([], false, bodyModes("FULL_DUPLEX_STREAMED")));
  await call.next();
  call.stream.pause();
  call.send(requestBody("x"));
  const atRest = await madeAtRest(made, started);
  expect(atRest).toBeLessThan(32);
  call.stream.resume();
  let received = 0;
  while (received < 64 * PIECE_BYTES) received += bytesOf(await call.next()).length;
  expect(made.pieces - received / PIECE_BYTES).toBeLessThan(32);
  call.stream.pause();
  const before = await madeAtRest(made, started);
  expect(before).toBeLessThan(PIECES);
  call.stream.close();
  await expect.poll(() => made.isOver).toBe(true);
  expect(made.pieces).toBe(before);
});

test("a client that reads gets all 256 MiB", async () => {
  const { processor, made } = expander();
  const { port } = await serverForTest(processor);
  const call = openRawCall(http2Session(port));
  call.send(requestHeaders([], false, bodyModes("FULL_DUPLEX_STREAMED")), requestBody("x"));
  await call.next();
  let received = 0;
  let ended = false;
  while (!ended) {
    const answer = await call.next();
    received += bytesOf(answer).length;
    ended = streamedOf(answer)?.endOfStream ?? true;
  }
  expect([received, made]).toEqual([PIECES * PIECE_BYTES, { pieces: PIECES, isOver: true }]);
}, 60_000);

function streamedOf(answer: ProcessingResponse | undefined) {
  const response = answer?.response;
  const mutation = response?.case === "requestBody" ? response.value.response?.bodyMutation?.mutation : undefined;
  return mutation?.case === "streamedResponse" ? mutation.value : undefined;
}

function bytesOf(answer: ProcessingResponse | undefined): Uint8Array {
  return streamedOf(answer)?.body ?? new Uint8Array(0);
}
