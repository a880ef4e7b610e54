import { create } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HealthCheckRequestSchema } from "../../../gen/grpc/health/v1/health_pb.js";
import {
  appendChunk,
  appendHeader,
  continueAndReplace,
  createReplacer,
  defineProcessor,
  type Effect,
  formatLine,
  formatSseEvent,
  header,
  immediateResponse,
  type Processor,
  replaceJson,
  replaceText,
  setAuthority,
  setDynamicMetadata,
  setHeader,
  setPath,
  setTypedDynamicMetadata,
  streamedImmediateResponse,
} from "../../../src/index.ts";
import { simulate } from "../../../src/simulation/simulate.ts";
import { hasEscapes } from "../../../src/text/escaped-text.ts";

/** The text that header() gives for the latin1 byte E9, and half of a surrogate pair that does not stand for a byte. */
const ESCAPE = "a\udce9";
const HALF = "a\ud83d";

const envoy = {
  processingMode: { requestBodyMode: "BUFFERED", requestTrailerMode: "SEND" },
  metadataOptions: { receivingNamespaces: { untyped: ["n", "b"], typed: ["n"] } },
} as const;
const BODY = { body: "old", headers: { "content-type": "text/plain" } };

type Phase = "requestHeaders";
const onHeaders =
  (make: (text: string) => Effect<Phase>) =>
  (text: string): Processor =>
    defineProcessor({ name: "p", requestHeaders: () => make(text) });
const onBody =
  (make: (text: string) => Effect<"requestBody">) =>
  (text: string): Processor =>
    defineProcessor({ name: "p", requestBody: { read: "text", handle: () => make(text) } });

/**
 * Texts that Envoy or a receiver reads as UTF-8, so none may have a lone surrogate. The key is the place that the
 * fault names.
 */
const TEXTS: readonly (readonly [place: string, make: (text: string) => Processor])[] = [
  ["immediateResponse: its text", onHeaders((text) => immediateResponse(403, { text }))],
  ["immediateResponse: details", onHeaders((details) => immediateResponse(403, { details }))],
  [
    "streamedImmediateResponse: chunk 1",
    onHeaders((text) => streamedImmediateResponse(200, { chunks: ["good", text] })),
  ],
  ["setDynamicMetadata: its namespace", onHeaders((text) => setDynamicMetadata(text, { a: 1 }))],
  ["setDynamicMetadata: its value has a key that", onHeaders((text) => setDynamicMetadata("n", { [text]: 1 }))],
  [
    'setDynamicMetadata: its value has under "list" a text that',
    onHeaders((text) => setDynamicMetadata("n", { good: "é😀", deep: { list: ["good", text] } })),
  ],
  [
    "setTypedDynamicMetadata: its namespace",
    onHeaders((text) => setTypedDynamicMetadata(text, create(AnySchema, { typeUrl: "t/a.B" }))),
  ],
  [
    "setTypedDynamicMetadata: its typeUrl",
    onHeaders((text) => setTypedDynamicMetadata("n", create(AnySchema, { typeUrl: `t/${text}` }))),
  ],
  ["continueAndReplace: its text", onHeaders((text) => continueAndReplace(text))],
  ["replaceText: its text", onBody((text) => replaceText(text))],
  [
    "appendChunk: its text",
    (text) =>
      defineProcessor({
        name: "p",
        requestBody: { read: "chunks", chunk: () => undefined, end: () => appendChunk(text) },
      }),
  ],
];

/**
 * Header text: a surrogate that stands for a byte is written as that byte, and every other lone surrogate is refused.
 */
const HEADER_TEXTS: readonly (readonly [place: string, make: (text: string) => Processor])[] = [
  ['setHeader: value of header "x-a"', onHeaders((text) => setHeader("x-a", text))],
  ['appendHeader: value of header "x-a"', onHeaders((text) => appendHeader("x-a", text))],
  [
    'immediateResponse: value of header "x-a"',
    onHeaders((text) => immediateResponse(403, { headers: { "x-a": ["good", text] } })),
  ],
  [
    'streamedImmediateResponse: value of header "x-a"',
    onHeaders((text) => streamedImmediateResponse(403, { headers: { "x-a": text } })),
  ],
];

async function play(processor: Processor) {
  const { faults, request, response, warnings } = await simulate(processor, { envoy }).post("/", BODY);
  return { faults: faults.map(({ code, message }) => `${code}: ${message}`), request, response, warnings };
}

describe("a lone surrogate", () => {
  test.each(TEXTS)(
    "a lone surrogate is invalid_effect in %s, and the message names it and the way out",
    async (place, make) => {
      for (const [text, name, wayOut] of [
        [ESCAPE, "U+DCE9", "tx.request.bytes(name)"],
        [HALF, "U+D83D", "text.toWellFormed()"],
      ] as const) {
        const { faults } = await play(make(text));
        expect(faults).toEqual([expect.stringContaining(`${place} has the lone surrogate ${name} at index `)]);
        expect(faults[0]).toMatch(/^invalid_effect: /);
        expect(faults[0]).toContain(wayOut);
      }
      const { faults } = await play(make("aé😀"));
      expect(faults.filter((text) => text.startsWith("invalid_effect"))).toEqual([]);
    },
  );

  test.each(HEADER_TEXTS)("a lone surrogate that stands for no byte is invalid_effect in %s", async (place, make) => {
    const { faults } = await play(make(HALF));
    expect(faults).toEqual([expect.stringContaining(`${place} has the lone surrogate U+D83D at index 1`)]);
    expect((await play(make(ESCAPE))).faults).toEqual([]);
  });

  test.each([
    ["setPath", onHeaders((text) => setPath(`/${text}`)), ":path"],
    ["setAuthority", onHeaders((text) => setAuthority(text)), ":authority"],
  ] as const)("a lone surrogate is invalid_effect in %s, with its own name", async (_kind, make, name) => {
    expect((await play(make(HALF))).faults).toEqual([
      expect.stringMatching(new RegExp(`invalid_effect: .*"${name}" has the lone surrogate U\\+D83D`)),
    ]);
    expect((await play(make(ESCAPE))).faults).toEqual([expect.stringMatching(/invalid_effect: .* byte 0xe9 at index/)]);
  });

  test("JSON writes a lone surrogate as an escape", async () => {
    const json = onBody(() => replaceJson({ a: ESCAPE }))("");
    const { faults, request } = await play(json);
    expect([faults, request?.body]).toEqual([[], '{"a":"a\\udce9"}']);
    const denied = await play(onHeaders(() => immediateResponse(403, { json: { a: HALF } }))(""));
    expect([denied.faults, denied.response.body]).toEqual([[], '{"a":"a\\ud83d"}']);
  });

  test("a lone surrogate throws if a tool of bodies writes text, unless it stands for a byte", () => {
    const replaced = (replacement: string) => createReplacer({ pattern: "x", replacement }).push(Buffer.from("x "));
    for (const write of [formatLine, (text: string) => formatSseEvent({ data: text }), replaced]) {
      expect(() => write(HALF)).toThrow(/text: has the lone surrogate U\+D83D at index/);
      expect(Buffer.from(write(ESCAPE)).toString("latin1")).toContain("a\xe9");
    }
  });

  test("a lone surrogate is invalid_effect in a text of a gRPC message, and U+FFFD itself is not", async () => {
    const { Health } = await import("../../../gen/grpc/health/v1/health_pb.js");
    const service = async (text: string) => {
      const processor = defineProcessor({
        name: "p",
        grpc: {
          service: Health,
          methods: { check: { request: () => create(HealthCheckRequestSchema, { service: text }) } },
        },
      });
      const { faults } = await simulate(processor, { envoy }).post("/grpc.health.v1.Health/Check", {
        headers: { "content-type": "application/grpc" },
        body: new Uint8Array(5),
      });
      return faults.map(({ message }) => message);
    };
    expect(await service(HALF)).toEqual([
      expect.stringContaining(
        "grpc.health.v1.HealthCheckRequest whose service has the lone surrogate U+D83D at index 1",
      ),
    ]);
    expect(await service("a\ufffd")).toEqual([]);
  });
});

test("a header value that is not UTF-8 and is copied into dynamic metadata is a fault, not a crash", async () => {
  const copying = defineProcessor({
    name: "copying",
    requestHeaders: (headers) => setDynamicMetadata("n", { name: header(headers, "x-name") ?? "" }),
  });
  const outcome = await simulate(copying, { envoy }).get("/", {
    headers: { "x-name": Buffer.from("caf\xe9", "latin1") },
  });
  expect(outcome.faults).toMatchObject([
    {
      code: "invalid_effect",
      message: expect.stringContaining('under "name" a text that has the lone surrogate U+DCE9'),
    },
  ]);
  expect(outcome.metadata).toEqual({});
});

test("a header effect sends the bytes of its text, or is invalid_effect, for every text", async () => {
  const unit = fc.constantFrom("a", " ", "é", "😀", "\ud83d", "\udc00", "\udce9", "\udcff", "\ufffd");
  const texts = fc.array(unit, { minLength: 1, maxLength: 80 }).map((units) => `<${units.join("")}>`);
  await fc.assert(
    fc.asyncProperty(texts, async (text) => {
      const { faults, request } = await play(onHeaders(() => setHeader("x-a", text))(text));
      const isRefused = hasOther(text);
      expect(faults.length).toBe(isRefused ? 1 : 0);
      if (!isRefused) expect(request?.headers["x-a"]).toBe(text);
      const copied = await play(onHeaders(() => setDynamicMetadata("n", { text }))(text));
      expect(copied.faults.length).toBe(isRefused || hasEscapes(text) ? 1 : 0);
    }),
    { numRuns: 200 },
  );
});

/** A lone surrogate that does not stand for a byte, found unit by unit. */
function hasOther(text: string): boolean {
  return [...text].some((character) => /^[\ud800-\udfff]$/.test(character) && !/^[\udc80-\udcff]$/.test(character));
}
