import { expect, test } from "vitest";
import { simulate } from "../../src/simulation/simulate.ts";
import type { SimulatedBody } from "../../src/simulation/simulated-request.ts";
import type { SimulatedTransaction } from "../../src/simulation/simulated-transaction.ts";
import type { BodyCase, Framing } from "../envoy/bodies/cases.ts";
import { expectationOf } from "../envoy/bodies/expectation.ts";
import { bodyOf } from "../envoy/bodies/material.ts";
import { inspected, READERS, type Reader, type ReaderName } from "../envoy/bodies/readers.ts";
import { declarationOf, filterOf, SETTINGS, type SettingName } from "../envoy/bodies/settings.ts";
import { arrivedOf } from "../envoy/bodies/wire.ts";
import { fc } from "./seed.ts";

// The table that test/envoy/bodies has for a real Envoy, here with any cut, and with pieces at any speed.

const GRPC_PATH = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

const framing: fc.Arbitrary<Framing> = fc.record({ length: fc.boolean(), trailers: fc.boolean() });
const caseArbitrary = fc.record({
  reader: fc.constantFrom(...(Object.keys(READERS) as ReaderName[])),
  setting: fc.constantFrom(...(Object.keys(SETTINGS) as SettingName[])),
  direction: fc.constantFrom("request", "response"),
  size: fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom(0, 1) },
    { weight: 8, arbitrary: fc.integer({ min: 50, max: 3_000 }) },
  ),
  framing,
  cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 }),
  chunkIntervalMs: fc.constantFrom(0, 1),
});
type Drawn = typeof caseArbitrary extends fc.Arbitrary<infer T> ? T : never;

let made = 0;

function caseOf({ reader, setting, direction, size, framing: framed }: Drawn): BodyCase {
  return { id: `property-${++made}`, reader, setting, direction, size, framing: framed, protocol: "http2" };
}

/** The body in pieces that may be empty, with the end of the stream on the last one. */
function messageOf(drawn: Drawn, { id, size, direction }: BodyCase): SimulatedBody {
  const { material }: Reader = READERS[drawn.reader];
  const body = bodyOf(material, size, direction);
  const at = [0, ...drawn.cuts.map((part) => Math.floor(part * size)).sort((one, other) => one - other), size];
  const chunks = at.slice(1).map((end, index) => new Uint8Array(body.subarray(at[index], end)));
  const { length, trailers } = drawn.framing;
  const isBodiless = size === 0 && length && !trailers;
  const headers = {
    "x-case": id,
    ...(length && { "content-length": String(size) }),
    ...(trailers && { trailer: "x-end" }),
    ...(material === "grpc" && { "content-type": "application/grpc" }),
  };
  const pieces = size === 0 && trailers ? [] : chunks;
  return {
    headers,
    ...(isBodiless ? {} : { chunks: pieces }),
    ...(trailers && { trailers: { "x-end": "kept" } }),
    chunkIntervalMs: drawn.chunkIntervalMs,
  };
}

async function send(drawn: Drawn, test: BodyCase): Promise<SimulatedTransaction> {
  const { message_timeout: _, processing_mode, ...filter } = filterOf(SETTINGS[test.setting]);
  const simulation = simulate(READERS[test.reader].processor(), {
    envoy: { ...camelCased(filter), processingMode: camelCased(processing_mode as object) },
    operator: { envoy: declarationOf(SETTINGS[test.setting]) },
  });
  const message = messageOf(drawn, test);
  const path = READERS[test.reader].material === "grpc" ? GRPC_PATH : "/";
  if (test.direction === "request")
    return await simulation.send({ ...message, method: "POST", path, protocol: "http2", response: { status: 204 } });
  const headers = { "x-case": test.id, "content-type": "application/grpc" };
  return await simulation.send({ method: "GET", path, protocol: "http2", headers, response: message });
}

function camelCased(fields: object): object {
  const camel = (name: string) => name.replaceAll(/_(\w)/g, (_all, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [camel(name), value]));
}

test("every handler makes the right body, in every mode, however the body is cut", async () => {
  await fc.assert(
    fc.asyncProperty(caseArbitrary, async (drawn) => {
      // Simulated clients and upstreams end a message with its headers if there is no piece of a body.
      fc.pre(drawn.size > 0 || drawn.framing.length || drawn.framing.trailers);
      const test = caseOf(drawn);
      const expectation = expectationOf(test);
      // The simulator goes on in cases in which Envoy waits forever.
      fc.pre(expectation.kind !== "hangs");
      const { request, response, faults } = await send(drawn, test);
      const codes = faults.map(({ code }) => code);
      const got = test.direction === "request" ? request : response;
      const isWhole = response.end === "complete" && response.status === (test.direction === "request" ? 204 : 200);
      if (expectation.kind !== "passes") {
        expect(isWhole && response.trailers["grpc-status"] === undefined && codes.length === 0).toBe(false);
        if (expectation.kind === "fails") expect(codes).toEqual([expectation.fault]);
        return;
      }
      // An end that trailers hide is reported if a handler may still have had output, and changes nothing.
      const own = codes.filter((code) => expectation.handled || code !== "tail_undeliverable");
      expect({ codes: own, isWhole }).toEqual({ codes: [], isWhole: true });
      expect(Buffer.from(got?.bytes ?? []).equals(expectation.body)).toBe(true);
      const { inspects = false }: Reader = READERS[test.reader];
      if (inspects && expectation.handled) expect(inspected.get(test.id)).toBe(arrivedOf(expectation.body).digest);
    }),
    { seed: 20_261_123, numRuns: 1_500, interruptAfterTimeLimit: 8_000 },
  );
}, 30_000);
