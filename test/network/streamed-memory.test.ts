import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  ProcessingRequestSchema,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { MessageReader } from "../../src/grpc/message-reader.ts";
import type { BodyMode } from "../../src/protocol/body-mode.ts";
import { fixture } from "../fixtures/fixture.ts";
import { bodyModes } from "../protocol/messages.ts";
import { spawnBinary } from "../server/spawn-binary.ts";
import { requestBody, requestHeaders } from "./messages.ts";
import { frame, http2Session, openRawCall } from "./raw-grpc.ts";

const CHUNK_BYTES = 64 << 10;
const CHUNKS = 3200;
const HEAP_MIB = 48;
/** Above what it had before the body: the heap that it may have, and what is on its way. Kept, the body were 200 MiB. */
const MAX_GROWTH_BYTES = 96 << 20;

/** The most memory that a process ever had. */
function peakBytes(pid: number | undefined): number {
  const [, kibibytes = "0"] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kibibytes) << 10;
}

/** Sends a body, and reads the answers as they come: how many, and the bytes in them. */
async function sendBody(port: number, mode: BodyMode, chunks: number) {
  const { stream } = openRawCall(http2Session(port));
  // The call's own reader keeps every answer.
  stream.removeAllListeners("data");
  const told = { answers: 0, bytes: 0 };
  const done = new Promise<void>((resolve) => stream.once("close", resolve).once("end", resolve));
  const reader = new MessageReader(
    {
      onMessage(message) {
        const { response } = fromBinary(ProcessingResponseSchema, message);
        if (response.case !== "requestBody") return true;
        told.answers++;
        const mutation = response.value.response?.bodyMutation?.mutation;
        if (mutation?.case === "body") told.bytes += mutation.value.length;
        if (mutation?.case === "streamedResponse") told.bytes += mutation.value.body.length;
        return true;
      },
      onOversized() {
        throw new Error("a message is above the limit");
      },
      onUnreadable(problem) {
        throw new Error(problem.kind);
      },
    },
    1 << 20,
  );
  stream.on("data", (chunk: Buffer) => reader.read(chunk, 0, chunk.length));
  const framed = (message: ReturnType<typeof requestBody>) => frame(toBinary(ProcessingRequestSchema, message));
  stream.write(framed(requestHeaders([], false, bodyModes(mode))));
  const piece = new Uint8Array(CHUNK_BYTES).fill(97);
  const more = framed(requestBody(piece, false));
  for (let sent = 1; sent < chunks; sent++) if (!stream.write(more)) await once(stream, "drain");
  stream.end(framed(requestBody(piece, true)));
  await done;
  return told;
}

describe.skipIf(!existsSync("/proc/self/status"))("a body of 200 MiB through a server with a small heap", () => {
  describe.each(["chunks", "stream", "inspect"])("and a handler that reads %s", (kind) => {
    test.each(["STREAMED", "FULL_DUPLEX_STREAMED"] as const)(
      "a body of 200 MiB passes in %s without staying in memory",
      async (mode) => {
        const flags = ["--listen", "127.0.0.1:0", "--status-listen", "off", "--admin-listen", "off"];
        const { child, port, kill, ended } = spawnBinary(["serve", fixture("streamed-bodies.js"), ...flags], {
          nodeArgs: [`--max-old-space-size=${HEAP_MIB}`],
          env: { BODY_HANDLER: kind },
        });
        const listening = await port();
        await sendBody(listening, mode, 10);
        const before = peakBytes(child.pid);
        const { answers, bytes } = await sendBody(listening, mode, CHUNKS);
        const keepsBytes = kind === "inspect" && mode === "STREAMED";
        expect([answers, bytes]).toEqual([CHUNKS, keepsBytes ? 0 : CHUNKS * CHUNK_BYTES]);
        const grown = peakBytes(child.pid) - before;
        process.stdout.write(`200 MiB through ${kind} in ${mode}: ${(grown / (1 << 20)).toFixed(1)} MiB more\n`);
        expect(grown).toBeLessThan(MAX_GROWTH_BYTES);
        kill("SIGTERM");
        expect((await ended).code).toBe(0);
      },
      60_000,
    );
  });
});
