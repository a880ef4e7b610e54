import { describe, expect, test } from "vitest";
import type { ProcessingResponse } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { appendHeader, defineProcessor, header, immediateResponse, setHeader, setPath } from "../../src/index.ts";
import { headersOf } from "../protocol/messages.ts";
import { recordSession } from "../session/recorded-session.ts";
import { bounded, fc } from "./seed.ts";

/** Bytes that a header value may have: UTF-8, parts of it, and bytes that are not UTF-8. */
const valueArbitrary = fc
  .array(
    fc.oneof(
      fc.uint8Array({ min: 0x20, max: 0xff, maxLength: 6 }),
      fc.string({ unit: "binary", maxLength: 3 }).map((text) => new TextEncoder().encode(text)),
    ),
    { minLength: 1, maxLength: 30 },
  )
  .map((parts) => Uint8Array.from(parts.flatMap((part) => [...part]).filter((byte) => byte >= 0x20 && byte !== 0x7f)));

const valuesOf = (answer: ProcessingResponse | undefined): Record<string, number[][]> => {
  const { response } = answer ?? {};
  const mutation = response?.case === "requestHeaders" ? response.value.response?.headerMutation : undefined;
  const found: Record<string, number[][]> = {};
  for (const { header: entry } of mutation?.setHeaders ?? []) {
    found[entry?.key ?? ""] = [...(found[entry?.key ?? ""] ?? []), [...(entry?.rawValue ?? [])]];
  }
  return found;
};

describe("a header value that is copied", () => {
  test("a header value that is copied has the same bytes, however it was read and written", () => {
    const copying = defineProcessor({
      name: "copying",
      requestHeaders: (message, tx) => [
        setHeader("x-header", header(message, "x-in") ?? ""),
        setHeader("x-get", tx.request.get("x-in") ?? ""),
        setHeader("x-one", tx.request.one("x-in") ?? ""),
        appendHeader("x-all", tx.request.all("x-in")[0] ?? ""),
        setHeader("x-bytes", tx.request.bytes("x-in") ?? ""),
        setHeader("x-around", `<${header(message, "x-in")}>é`),
        setPath(tx.request.path ?? ""),
      ],
    });
    fc.assert(
      fc.property(valueArbitrary, fc.uint8Array({ min: 0x21, max: 0x7e, maxLength: 8 }), (value, rest) => {
        // A client's path has no other bytes, because Envoy refuses them.
        const path = [0x2f, ...rest.filter((byte) => byte !== 0x23)];
        const { receive, answers } = recordSession(copying);
        receive(
          headersOf("requestHeaders", [
            ["x-in", value],
            [":path", Uint8Array.from(path)],
          ] as never),
        );
        const bytes = [...value];
        const found = valuesOf(answers[0]);
        for (const name of ["x-header", "x-get", "x-one", "x-all", "x-bytes"])
          expect([name, found[name]]).toEqual([name, [bytes]]);
        expect(found["x-around"]).toEqual([[0x3c, ...bytes, 0x3e, 0xc3, 0xa9]]);
        expect(found[":path"]).toEqual([path]);
      }),
      bounded(2000),
    );
  });

  test("a header value that is copied has the same bytes for the next processor, among several values, and in an immediate response", () => {
    const processor = defineProcessor({
      name: "p",
      requestHeaders: (message) => [setHeader("x-a", header(message, "cookie") ?? "")],
    });
    const answering = defineProcessor({
      name: "q",
      requestHeaders: (message) => immediateResponse(200, { headers: { "x-a": header(message, "x-in") ?? "" } }),
    });
    fc.assert(
      fc.property(valueArbitrary, valueArbitrary, (first, second) => {
        const { receive, answers } = recordSession(processor);
        receive(
          headersOf("requestHeaders", [
            ["cookie", first],
            ["cookie", second],
          ] as never),
        );
        expect(valuesOf(answers[0])["x-a"]).toEqual([[...first, 0x3b, 0x20, ...second]]);
        const answered = recordSession(answering);
        answered.receive(headersOf("requestHeaders", [["x-in", first]] as never));
        const { response } = answered.answers[0] ?? {};
        const headers = response?.case === "immediateResponse" ? response.value.headers?.setHeaders : undefined;
        expect(headers?.map(({ header: entry }) => [...(entry?.rawValue ?? [])])).toContainEqual([...first]);
      }),
      bounded(1000),
    );
  });

  test("text that an author writes is sent as UTF-8", () => {
    const processor = defineProcessor({ name: "p", requestHeaders: () => setHeader("x-a", "é→😀") });
    const { receive, answers } = recordSession(processor);
    receive(headersOf("requestHeaders", []));
    expect(valuesOf(answers[0])["x-a"]).toEqual([[...new TextEncoder().encode("é→😀")]]);
  });
});
