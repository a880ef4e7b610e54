import { expect, test } from "vitest";
import { acceptGrpc } from "../../src/grpc/accept-grpc.ts";
import { defineProcessor, setHeader } from "../../src/index.ts";
import { data, END_STREAM, headers, PROCESS, rstStream, settings, windowUpdate } from "../http2/raw-frames.ts";
import { TestServer } from "../http2/test-server.ts";
import { bounded, fc } from "../property/seed.ts";
import { bodyModes, bodyOf, headersOf } from "../protocol/messages.ts";
import { patientRules } from "../session/patient-rules.ts";
import { requestBytes } from "./fake-stream.ts";

/** Handlers that answer at once, in the next turn, when the test decides, or never. */
function processor(gate: Promise<void>) {
  return defineProcessor({
    name: "any",
    async requestHeaders(_headers, tx) {
      const how = tx.request.get("x-how");
      if (how === "later") await Promise.resolve();
      if (how === "gate") await gate;
      if (how === "never") await new Promise(() => undefined);
      return setHeader("x-answer", "v".repeat(3_000));
    },
    requestBody: { read: "chunks", chunk: (bytes) => bytes },
  });
}

const step = fc.oneof(
  fc.record({ kind: fc.constant("headers"), how: fc.constantFrom("now", "later", "gate", "never") }),
  fc.record({ kind: fc.constant("body"), bytes: fc.integer({ min: 0, max: 60_000 }) }),
  fc.record({ kind: fc.constant("half"), bytes: fc.integer({ min: 0, max: 60_000 }) }),
  fc.record({ kind: fc.constantFrom("reset", "end", "shrink", "grow", "open gate", "time passes") }),
);
const onStream = fc.record({ stream: fc.integer({ min: 0, max: 3 }), step });

test("calls give back all held bytes, whatever comes and wherever it ends", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(onStream, { maxLength: 30 }),
      fc.integer({ min: 5_000, max: 400_000 }),
      async (steps, maxBytes) => {
        let open = () => {};
        const gate = new Promise<void>((resolve) => {
          open = resolve;
        });
        const definition = processor(gate);
        const options = { processor: definition, maxMessageBytes: 50_000, rules: patientRules(definition) };
        const server: TestServer = new TestServer({
          limits: { keepAliveIntervalMs: 0 },
          memory: { messages: maxBytes, answers: maxBytes },
          handle: ({ stream, headers: list }) =>
            acceptGrpc(options, () => {
              throw new Error("not a Process call");
            })(stream, server.seen(stream.id).headers ?? list),
        });
        const { messages, answers } = server.memory;
        const client = await server.client([4, 1_000]);
        const opened = new Set<number>();
        for (const { stream, step } of steps) {
          const id = 2 * stream + 1;
          // A stream opens with the first step on it. A stream with a lower number cannot open later.
          if (!opened.has(id)) {
            if (Math.max(0, ...opened) > id) continue;
            opened.add(id);
            client.send(headers(id, PROCESS));
          }
          for (const frame of framesOf(id, step)) client.send(frame);
          if (step.kind === "open gate") open();
          if (step.kind === "time passes") server.pass(40_000);
          await client.roundTrip();
          for (const { heldBytes, peakBytes, maxBytes: most } of [messages, answers])
            if (heldBytes < 0 || peakBytes > most) throw new Error(`${heldBytes} held, ${peakBytes} of ${most}`);
        }
        expect(server.errors).toEqual([]);
        server.connections.close();
        client.socket.end();
        await client.closed();
        server.pass(5_000);
        expect([messages.heldBytes, answers.heldBytes]).toEqual([0, 0]);
      },
    ),
    bounded(120),
  );
});

function framesOf(
  id: number,
  step: { readonly kind: string; readonly how?: string; readonly bytes?: number },
): Buffer[] {
  const { kind, how = "", bytes = 0 } = step;
  switch (kind) {
    case "headers":
      return inFrames(
        id,
        requestBytes(headersOf("requestHeaders", [["x-how", how]], bodyModes("FULL_DUPLEX_STREAMED"))),
      );
    case "body":
      return inFrames(id, requestBytes(bodyOf("requestBody", "x".repeat(bytes), { endOfStream: false })));
    case "half": {
      const whole = requestBytes(bodyOf("requestBody", "x".repeat(bytes + 10), { endOfStream: false }));
      return inFrames(id, whole.subarray(0, bytes));
    }
    case "reset":
      return [rstStream(id)];
    case "end":
      return [data(id, "", END_STREAM)];
    case "shrink":
      return [settings([4, 0])];
    case "grow":
      return [windowUpdate(id, 20_000)];
    default:
      return [];
  }
}

function inFrames(id: number, bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 10_000) frames.push(data(id, bytes.subarray(at, at + 10_000)));
  return frames;
}
