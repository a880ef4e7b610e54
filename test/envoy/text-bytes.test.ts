import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ProcessingResponseSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { toImmediateResponse } from "../../src/protocol/answers/immediate-response.ts";
import { type AllowedBytes, VALUE_BYTES } from "../../src/protocol/headers/allowed-characters.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { type RunningScenes, type Scene, startScenes } from "./rows/scene.ts";
import { mutate, on, scripted } from "./rows/script-scenes.ts";
import type { ScriptedServer } from "./scripted.ts";

const ALL = Array.from({ length: 256 }, (_, byte) => byte);
const hex = (byte: number) => byte.toString(16).padStart(2, "0");
const raw = (before: string, byte: number, after: string) => ({
  hex: `${Buffer.from(before).toString("hex")}${hex(byte)}${Buffer.from(after).toString("hex")}`,
});
const bytesOf = (table: AllowedBytes, wanted = true) => ALL.filter((byte) => (table[byte] === 1) === wanted);
const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39;
/** A mutation takes 100 headers. */
const batches = (bytes: readonly number[]) =>
  Array.from({ length: Math.ceil(bytes.length / 90) }, (_, index) => bytes.slice(index * 90, index * 90 + 90));
/** Texts of one character each, U+0000 to U+00FF, and some beyond. */
const CHARACTERS = [
  ...ALL.map((code) => String.fromCharCode(code)),
  "\u0100",
  "\u2028",
  "\ufffd",
  "\ufeff",
  "\u{1f600}",
];

describe.skipIf(envoyBinary === undefined)("of the 256 bytes and characters a real Envoy", () => {
  let scenes: RunningScenes;
  let scene: Scene<ScriptedServer>;
  let lines = 0;

  beforeAll(async () => {
    const filter: JsonObject = {
      processing_mode: { response_trailer_mode: "SEND" },
      metadata_options: { receiving_namespaces: { untyped: ["n"] } },
    };
    scenes = await startScenes(
      new Map([
        [
          "only",
          {
            server: scripted(),
            filter,
            logged: { meta: "%DYNAMIC_METADATA(n)%" },
            respond: (response) => {
              response.writeHead(200, { trailer: "x-old" });
              response.write("ok");
              response.addTrailers({ "x-old": "1" });
              response.end();
            },
          },
        ],
      ]),
    );
    scene = scenes.scenes.get("only") as Scene<ScriptedServer>;
  }, 30_000);

  afterAll(() => scenes?.stop());

  /** Sends a request, and returns the response with its line of the access log. */
  async function send() {
    const outcome = await scene.send();
    lines++;
    return { outcome, line: (await scene.logged(lines))[lines - 1] };
  }

  const rejected = async () => (await scene.counters()).rejected_header_mutations ?? 0;

  async function answer(send_: JsonObject) {
    scene.server.play({ rules: [on("requestHeaders", { send: send_ as never })] });
    return await send();
  }

  test("Envoy accepts digits in :status, and drops all other bytes that a value may have", async () => {
    for (const batch of batches(bytesOf(VALUE_BYTES))) {
      const setHeaders = batch.map((byte) => ({ header: { key: ":status", rawValue: raw("2", byte, "0") } }));
      scene.server.play({ rules: [on("responseHeaders", mutate("responseHeaders", { setHeaders }))] });
      const before = await rejected();
      const { outcome } = await send();
      expect((await rejected()) - before).toBe(batch.filter((byte) => !isDigit(byte)).length);
      expect(outcome.status).toBeGreaterThanOrEqual(200);
    }
  });

  test("Envoy forwards the bytes of VALUE_BYTES in trailers", async () => {
    for (const batch of batches(bytesOf(VALUE_BYTES))) {
      const setHeaders = batch.map((byte) => ({ header: { key: `x-${hex(byte)}`, rawValue: raw("<", byte, ">") } }));
      scene.server.play({ rules: [on("responseTrailers", mutate("responseTrailers", { setHeaders }))] });
      const { outcome } = await send();
      expect(outcome).toMatchObject({ status: 200, body: "ok", complete: true });
      const expected = batch.map((byte) => [`x-${hex(byte)}`, `<${String.fromCharCode(byte)}>`]);
      expect(outcome.trailers).toMatchObject(Object.fromEntries(expected));
    }
  });

  test("Envoy fails on all other bytes in trailers", async () => {
    for (const byte of bytesOf(VALUE_BYTES, false)) {
      const setHeaders = [{ header: { key: "x-a", rawValue: raw("<", byte, ">") } }];
      scene.server.play({ rules: [on("responseTrailers", mutate("responseTrailers", { setHeaders }))] });
      const { outcome } = await send();
      // The headers may have left by then: the rest is cut off.
      expect([byte, outcome.status === 200 && outcome.complete]).toEqual([byte, false]);
      expect(outcome.trailers).not.toHaveProperty("x-a");
    }
  });

  test("Envoy keeps every character in keys and values of dynamic metadata", async () => {
    const meta = Object.fromEntries(CHARACTERS.map((text) => [`<${text}>`, `(${text})`]));
    const { outcome, line } = await answer({ requestHeaders: {}, dynamicMetadata: { n: meta } } as JsonObject);
    expect(outcome.status).toBe(200);
    expect(line?.meta).toEqual(meta);
  });

  test("Envoy sends every byte of an immediate response's body", async () => {
    const body = Buffer.from(ALL);
    const { outcome } = await answer({
      immediateResponse: { status: { code: 403 }, body: { hex: body.toString("hex") } },
    });
    expect([outcome.status, Buffer.from(outcome.body, "latin1")]).toEqual([403, body]);
  });

  test("Envoy keeps every character in details except white space, which becomes an underscore", async () => {
    for (const text of CHARACTERS) {
      const details = `<${text}>`;
      const { outcome, line } = await answer({ immediateResponse: { status: { code: 403 }, details } });
      expect([text, outcome.status, line?.details]).toEqual([text, 403, details.replace(/[\t-\r ]/, "_")]);
      // A log format without escapes would show control characters as they are.
      const isControl = /\p{Cc}/u.test(text);
      expect([text, "problem" in toImmediateResponse({ status: 403, details })]).toEqual([text, isControl]);
    }
  });

  test.each(["details", "key", "value", "namespace"])(
    "Envoy fails on bytes that are not UTF-8 in %s",
    async (place) => {
      const text = "PLACE";
      const meta = { [place === "key" ? text : "k"]: place === "value" ? text : "v" };
      const message =
        place === "details"
          ? create(ProcessingResponseSchema, {
              response: { case: "immediateResponse", value: { status: { code: 403 }, details: text } },
            })
          : create(ProcessingResponseSchema, {
              response: { case: "requestHeaders", value: {} },
              dynamicMetadata: { [place === "namespace" ? text : "n"]: meta },
            });
      const bytes = Buffer.from(toBinary(ProcessingResponseSchema, message));
      bytes[bytes.indexOf(text)] = 0xe9;
      const framed = Buffer.alloc(5 + bytes.length);
      framed.writeUInt32BE(bytes.length, 1);
      bytes.copy(framed, 5);
      scene.server.play({ rules: [on("requestHeaders", { sendRaw: { hex: framed.toString("hex") } } as never)] });
      const { outcome, line } = await send();
      expect([outcome.status, line?.details, line?.meta]).toEqual([
        500,
        expect.stringMatching(/^ext_proc_error_gRPC_error_13/),
        null,
      ]);
    },
  );
});
