import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { appendChunk, compose, defineProcessor, type Processor, replaceBody, replaceText } from "../../../src/index.ts";
import { bounded } from "../../property/seed.ts";
import { MODES, sendIn } from "./upper.ts";

/** One step of a chain, and what it does as a function. */
interface Step {
  readonly processor: (name: string) => Processor;
  readonly apply: (text: string) => string;
}

const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);

/** Steps whose result does not depend on how a body is cut. */
const STEPS: Readonly<Record<string, Step>> = {
  whole: {
    processor: (name) => {
      const read = {
        read: "whole",
        handle: ({ bytes }: { bytes: Uint8Array }) => replaceBody(bytesOf(`[${textOf(bytes)}]`)),
      } as const;
      return defineProcessor({ name, requestBody: read, responseBody: read });
    },
    apply: (text) => `[${text}]`,
  },
  asyncText: {
    processor: (name) => {
      const read = { read: "text", handle: async (text: string) => replaceText(`${text}<`) } as const;
      return defineProcessor({ name, requestBody: read, responseBody: read });
    },
    apply: (text) => `${text}<`,
  },
  chunks: {
    processor: (name) => {
      const read = {
        read: "chunks",
        chunk: (bytes: Uint8Array) => bytesOf(textOf(bytes).replaceAll("a", "bb")),
        end: () => appendChunk(">"),
      } as const;
      return defineProcessor({ name, requestBody: read, responseBody: read });
    },
    apply: (text) => `${text.replaceAll("a", "bb")}>`,
  },
  stream: {
    processor: (name) => {
      const read = {
        read: "stream",
        async *handle(chunks: AsyncIterable<Uint8Array>) {
          let count = 0;
          for await (const chunk of chunks) {
            count += chunk.length;
            yield bytesOf(textOf(chunk).replaceAll("b", ""));
          }
          yield bytesOf(`#${count}`);
        },
      } as const;
      return defineProcessor({ name, requestBody: read, responseBody: read });
    },
    apply: (text) => `${text.replaceAll("b", "")}#${text.length}`,
  },
  look: {
    processor: (name) =>
      defineProcessor({ name, requestBody: { read: "inspect", chunk: () => {} }, responseBody: { read: "inspect" } }),
    apply: (text) => text,
  },
};

const chain = fc.array(fc.constantFrom(...Object.keys(STEPS)), { minLength: 1, maxLength: 4 });
const pieces = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 9 }), {
  minLength: 1,
  maxLength: 5,
});
const mode = fc.constantFrom(...MODES.filter((known) => known !== "NONE" && known !== "BUFFERED_PARTIAL"));

function composed(names: readonly string[]): Processor {
  return compose(...names.map((name, index) => (STEPS[name] as Step).processor(`${name.toLowerCase()}-${index}`)));
}

function applied(names: readonly string[], text: string): string {
  return names.reduce((body, name) => (STEPS[name] as Step).apply(body), text);
}

describe("composed body handlers", () => {
  test("composed body handlers change a body as one after the other would, however it is cut, in every mode, with and without a length", async () => {
    await fc.assert(
      fc.asyncProperty(
        chain,
        pieces,
        mode,
        fc.boolean(),
        fc.boolean(),
        async (names, cut, where, hasLength, hasTrailers) => {
          const text = cut.join("");
          // Without a length the server does not know where a streamed body ends.
          const isCounted = where === "STREAMED" || hasLength;
          const body = isCounted
            ? { chunks: cut, headers: { "content-length": String(text.length) }, protocol: "http2" as const }
            : { chunks: cut, ...(hasTrailers && { trailers: { "x-t": "1" } }) };
          const { protocol: _, ...response } = { protocol: "http2", ...body };
          const {
            request,
            response: got,
            faults,
          } = await sendIn(composed(names), where, { request: body, upstream: response });
          expect(faults).toEqual([]);
          expect(request).toMatchObject({ body: applied(names, text), complete: true });
          expect(got).toMatchObject({ body: applied(names.toReversed(), text), end: "complete" });
        },
      ),
      bounded(200),
    );
  });

  test("composed body handlers see a body decoded, and it leaves encoded again", async () => {
    await fc.assert(
      fc.asyncProperty(chain, pieces, mode, fc.nat(40), async (names, cut, where, at) => {
        const text = cut.join("");
        const zipped = gzipSync(text);
        const chunks = [zipped.subarray(0, at), zipped.subarray(at)].filter(({ length }) => length > 0);
        const headers = { "content-encoding": "gzip", "content-length": String(zipped.length) };
        const { request, response, faults, warnings } = await sendIn(composed(names), where, {
          request: { chunks, headers, protocol: "http2" },
          upstream: { chunks, headers },
        });
        expect({ faults, warnings }).toEqual({ faults: [], warnings: [] });
        expect(request?.headers["content-encoding"]).toBe("gzip");
        expect(textOf(gunzipSync(request?.bytes ?? new Uint8Array()))).toBe(applied(names, text));
        expect(textOf(gunzipSync(response.bytes))).toBe(applied(names.toReversed(), text));
      }),
      bounded(100),
    );
  });
});
