import { describe, expect, test } from "vitest";
import { continueAndReplace, defineProcessor, setHeader } from "../../../src/index.ts";
import { MODES, sendIn, upperProcessor } from "./upper.ts";

const VALIDATORS = {
  etag: '"1"',
  digest: "sha-256=x",
  "content-digest": "sha-256=:x:",
  "repr-digest": "sha-256=:x:",
  "content-md5": "x",
  "accept-ranges": "bytes",
};
const LOOKERS = {
  whole: { read: "whole", handle: () => undefined },
  inspect: { read: "inspect", chunk: () => undefined },
} as const;
const chunks = ["he", "llo"];
const upstream = { headers: { ...VALIDATORS, "content-length": "5" }, chunks };
const left = (headers: Readonly<Record<string, unknown>>) => Object.keys(VALIDATORS).filter((name) => name in headers);

describe.each(MODES.filter((mode) => mode !== "NONE"))("headers that validate a body in %s", (mode) => {
  test.each(["whole", "chunks", "stream"] as const)(
    "validators are removed if a handler that reads %s changes the body",
    async (kind) => {
      const { request, response, faults } = await sendIn(upperProcessor(kind), mode, {
        request: { protocol: "http2", headers: { ...VALIDATORS, "content-length": "5" }, chunks },
        upstream,
      });
      // The header answer of STREAMED cannot wait for the changes of the body.
      const isLate = mode === "STREAMED" && kind === "whole";
      expect({ faults, bodies: [request?.body, response.body] }).toEqual({ faults: [], bodies: ["HELLO", "HELLO"] });
      if (!isLate) expect([left(request?.headers ?? {}), left(response.headers)]).toEqual([[], []]);
    },
  );

  test.each(["whole", "inspect"] as const)(
    "validators stay if a handler that reads %s leaves the body unchanged",
    async (kind) => {
      const processor = defineProcessor({ name: "p", responseBody: LOOKERS[kind] });
      const { response } = await sendIn(processor, mode, { request: {}, upstream });
      expect(response.body).toBe("hello");
      if (kind === "inspect" || mode !== "STREAMED") expect(left(response.headers)).toEqual(Object.keys(VALIDATORS));
    },
  );

  test("validators stay if a handler sets them for the body that it makes", async () => {
    if (mode === "STREAMED") return;
    const processor = defineProcessor({
      name: "p",
      responseBody: { read: "text", handle: () => [setHeader("etag", '"mine"')] },
    });
    const { response } = await sendIn(processor, mode, { request: {}, upstream });
    expect(response.headers.etag).toBe('"mine"');
  });
});

describe.each(MODES.filter((mode) => mode !== "NONE"))("a partial response in %s", (mode) => {
  const codes = async (kind: "upper" | "inspect", options: Parameters<typeof sendIn>[2]) => {
    const inspector = defineProcessor({ name: "p", requestBody: LOOKERS.inspect, responseBody: LOOKERS.inspect });
    const processor = kind === "upper" ? upperProcessor("chunks") : inspector;
    const { faults, response } = await sendIn(processor, mode, options);
    return [faults.map(({ code }) => code), response.status];
  };
  const part = { request: {}, upstream: { status: 206, headers: { "content-range": "bytes 0-3/9" }, body: "part" } };
  const upload = { request: { body: "part", headers: { "content-range": "bytes 0-3/9" } } };

  test("a partial response is a fault for a handler that may change it", async () => {
    expect(await codes("upper", part)).toEqual([["body_partial_content"], 500]);
    expect(await codes("upper", upload)).toEqual([["body_partial_content"], 500]);
  });

  test("a handler may look at a partial response", async () => {
    expect(await codes("inspect", part)).toEqual([[], 206]);
    expect(await codes("inspect", upload)).toEqual([[], 200]);
  });
});

describe("a response without a body", () => {
  const DECLARED = { allowModeOverride: true };
  const HEADERS = {
    etag: '"1"',
    digest: "x",
    "content-digest": "x",
    "repr-digest": "x",
    "content-md5": "x",
    "accept-ranges": "bytes",
    "content-length": "8",
    "last-modified": "Mon, 30 Nov 2026 00:00:00 GMT",
  };
  const TELLING = [
    ["HEAD", 200],
    ["HEAD", 404],
    ["GET", 304],
    ["HEAD", 304],
  ] as const;

  test.each(TELLING)(
    "a response without a body to %s with status %d says nothing of a body that its handler would have changed, in every mode",
    async (method, status) => {
      for (const mode of MODES) {
        for (const kind of ["whole", "text", "chunks", "stream"] as const) {
          for (const envoy of [{}, DECLARED]) {
            const { response, faults, warnings } = await sendIn(upperProcessor(kind), mode, {
              envoy,
              request: { method, response: { status, headers: HEADERS } },
            });
            const context = `${mode}, ${kind}, ${JSON.stringify(envoy)}`;
            expect({ faults, warnings, status: response.status }, context).toEqual({
              faults: [],
              warnings: [],
              status,
            });
            // In NONE, without an override, Envoy would not send the body, and no handler would change it.
            const kept = mode === "NONE" && envoy !== DECLARED ? Object.keys(HEADERS) : ["last-modified"];
            const names = Object.keys(response.headers).filter((name) => name in HEADERS);
            expect(names.sort(), context).toEqual(kept.sort());
          }
        }
      }
    },
  );

  test.each(TELLING)(
    "a response without a body to %s with status %d keeps its headers if no handler would change a body",
    async (method, status) => {
      const looking = defineProcessor({ name: "looking", responseBody: { read: "inspect" } });
      const choosy = defineProcessor({
        name: "choosy",
        responseBody: {
          read: "json",
          when: (tx) => tx.response?.get("content-type") === "text/html",
          handle: () => undefined,
        },
      });
      const requests = defineProcessor({ name: "requests", requestBody: { read: "json", handle: () => undefined } });
      for (const mode of MODES) {
        for (const processor of [looking, choosy, requests]) {
          const { response, faults } = await sendIn(processor, mode, {
            envoy: DECLARED,
            request: { method, response: { status, headers: HEADERS } },
          });
          expect(faults).toEqual([]);
          expect(response.headers, `${mode}, ${processor.name}`).toMatchObject({
            etag: '"1"',
            "accept-ranges": "bytes",
          });
        }
      }
    },
  );

  test("a response to HEAD loses its content-encoding if the body of a GET leaves without it", async () => {
    for (const [encoding, kept] of [
      ["decoded", undefined],
      ["raw", "gzip"],
    ] as const) {
      const processor = defineProcessor({
        name: "p",
        responseBody: { read: "chunks", encoding, chunk: (bytes) => bytes },
      });
      const { response } = await sendIn(processor, "STREAMED", {
        request: { method: "HEAD", response: { headers: { "content-encoding": "gzip" } } },
      });
      expect(response.headers["content-encoding"]).toBe(kept);
    }
  });

  test("a response without a body with status 204 keeps its headers, and its handler is not called, in every mode", async () => {
    for (const mode of MODES) {
      for (const kind of ["whole", "chunks", "stream"] as const) {
        const headers = { etag: '"1"' };
        const { response, faults, warnings } = await sendIn(upperProcessor(kind), mode, {
          request: { method: "GET", response: { status: 204, headers } },
        });
        expect({ faults, warnings, status: response.status }).toEqual({ faults: [], warnings: [], status: 204 });
        expect(response.headers).toMatchObject(headers);
      }
    }
  });

  test("a response without a body cannot be given a body by continueAndReplace", async () => {
    const processor = defineProcessor({ name: "p", responseHeaders: () => continueAndReplace("body") });
    for (const [method, status] of [
      ["HEAD", 200],
      ["GET", 204],
      ["GET", 205],
      ["GET", 304],
      ["GET", 206],
    ] as const) {
      const { faults } = await sendIn(processor, "NONE", { request: { method, response: { status } } });
      expect(faults.map(({ code }) => code)).toEqual(["invalid_effect"]);
    }
  });
});
