import { describe, expect, test } from "vitest";
import { defineProcessor, overrideMode, type Processor } from "../../../src/index.ts";
import { simulate } from "../../../src/simulation/simulate.ts";

const chunk = (bytes: Uint8Array) => bytes.map((byte) => (byte >= 97 && byte <= 122 ? byte - 32 : byte));
const BOTH = { requestBodyMode: "BUFFERED", responseBodyMode: "BUFFERED" } as const;
const envoy = { allowModeOverride: true, processingMode: BOTH } as const;

type Modes = Parameters<typeof overrideMode>[0];

function chunksWith(modes: Modes, more: object = {}): Processor {
  return defineProcessor({
    name: "p",
    requestHeaders: () => overrideMode(modes),
    requestBody: { read: "chunks", chunk, ...more },
  });
}

describe("overrideMode with a body handler", () => {
  test.each<[Modes]>([
    [{ requestBody: "STREAMED" }],
    [{ requestBody: "FULL_DUPLEX_STREAMED" }],
    [{ requestBody: "BUFFERED" }],
    [{ responseBody: "STREAMED" }],
  ])("overrideMode is obeyed if its mode serves the body handler: %o", async (modes) => {
    const { request, faults, warnings } = await simulate(chunksWith(modes), { envoy }).post("/", {
      chunks: ["ab", "cd"],
      chunkIntervalMs: 5,
    });
    expect({ faults, warnings }).toEqual({ faults: [], warnings: [] });
    expect(request).toMatchObject({ body: "ABCD", complete: true });
  });

  test("overrideMode is a fault that names the way out if the body handler would not run", async () => {
    const { faults } = await simulate(chunksWith({ requestBody: "NONE" }), { envoy }).post("/", { body: "ab" });
    expect(faults).toMatchObject([{ code: "mode_override_not_allowed" }]);
    expect(faults[0]?.message).toContain("let their when return false");
  });

  test("overrideMode to NONE is obeyed if the handler's when is false", async () => {
    const processor = chunksWith({ requestBody: "NONE" }, { when: () => false });
    const { request, faults, report } = await simulate(processor, { envoy }).post("/", { body: "ab" });
    expect([faults, request?.body]).toEqual([[], "ab"]);
    expect(report.messages.filter(({ from }) => from === "envoy")).toHaveLength(2);
  });

  test("overrideMode is a fault at the request already if it would skip the handlers of the response body", async () => {
    const processor = defineProcessor({
      name: "p",
      requestHeaders: () => overrideMode({ responseBody: "NONE" }),
      responseBody: { read: "chunks", chunk },
    });
    const { faults, request } = await simulate(processor, { envoy }).get("/");
    expect([faults.map(({ code }) => code), request]).toEqual([["mode_override_not_allowed"], undefined]);
  });
});

describe("a configured BUFFERED", () => {
  const seen = async (handler: object, upstream: object) => {
    const processor = defineProcessor({ name: "p", responseBody: handler as never });
    const { report, faults, response } = await simulate(processor, { envoy, upstream }).get("/events");
    expect(faults).toEqual([]);
    const pieces = report.messages.filter(
      ({ from, message }) =>
        from === "envoy" && (message as { request: { case?: string } }).request.case === "responseBody",
    );
    return { pieces: pieces.length, body: response.body };
  };
  const events = { chunks: ["data: a\n\n", "data: b\n\n", "data: c\n\n"], chunkIntervalMs: 400 };
  const stream = {
    read: "stream",
    async *handle(chunks: AsyncIterable<Uint8Array>) {
      yield* chunks;
    },
  };

  test.each([
    ["stream", stream],
    ["inspect", { read: "inspect", chunk: () => undefined }],
    ["chunks", { read: "chunks", chunk: () => undefined }],
  ])("a configured BUFFERED is left for STREAMED by an event stream with a %s handler", async (_read, handler) => {
    const { pieces, body } = await seen(handler, events);
    expect(pieces).toBeGreaterThanOrEqual(3);
    expect(body).toBe(events.chunks.join(""));
  });

  test("a configured BUFFERED is kept for a handler of the whole body", async () => {
    expect(await seen({ read: "text", handle: () => undefined }, events)).toMatchObject({ pieces: 1 });
  });

  test("a configured BUFFERED is kept for a body that surely fits Envoy's buffer, so that its content-length stays", async () => {
    const { pieces } = await seen({ read: "chunks", chunk: () => undefined }, { body: "abc" });
    expect(pieces).toBe(1);
  });
});
