import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import {
  continueAndReplace,
  defineProcessor,
  immediateResponse,
  type Processor,
  replaceText,
  setStatus,
} from "../../src/index.ts";
import type { DeclaredEnvoySettings } from "../../src/protocol/envoy-settings.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { type RunningScenes, type SceneInit, startScenes } from "./rows/scene.ts";
import type { ClientOutcome } from "./rows/scene-client.ts";
import type { Respond } from "./rows/scene-upstream.ts";
import { type ServedScene, served } from "./rows/served.ts";

const DISALLOW_ALL: JsonObject = { mutation_rules: { disallow_all: true } };
const WITH_LENGTH: Respond = (response) => {
  response.setHeader("content-length", "8");
  response.end("upstream");
};
const CHUNKED: Respond = (response) => {
  response.write("upstream");
  response.end();
};

const whole = (text: string) =>
  defineProcessor({ name: "whole", responseBody: { read: "text", handle: () => replaceText(text) } });
const chunks = defineProcessor({
  name: "chunks",
  responseBody: { read: "chunks", required: true, chunk: (bytes) => Buffer.concat([bytes, Buffer.from("!")]) },
});

interface Row {
  readonly processor: Processor;
  readonly mode?: string;
  readonly respond?: Respond;
  readonly declared?: DeclaredEnvoySettings;
  readonly filter?: JsonObject;
  readonly expected: Partial<ClientOutcome>;
  /** The code of the fault that the server logs; undefined: none. */
  readonly fault?: string;
}

const OVERRIDE = {
  declared: { allowModeOverride: true, bufferLimitBytes: 1 << 20 },
  filter: { allow_mode_override: true },
};
const REFUSED = { expected: { status: 500 }, fault: "mutation_not_allowed" };

const ROWS: Readonly<Record<string, Row>> = {
  "a BUFFERED body of another length is a fault": {
    processor: whole("replaced!"),
    mode: "BUFFERED",
    ...REFUSED,
  },
  "a BUFFERED body of the same length is replaced": {
    processor: whole("replaced"),
    mode: "BUFFERED",
    expected: { status: 200, body: "replaced" },
  },
  "a BUFFERED body without content-length is replaced by one of another length": {
    processor: whole("replaced!"),
    mode: "BUFFERED",
    respond: CHUNKED,
    expected: { status: 200, body: "replaced!" },
  },
  "a BUFFERED_PARTIAL body is replaced by one of another length": {
    processor: whole("replaced!"),
    mode: "BUFFERED_PARTIAL",
    expected: { status: 200, body: "replaced!" },
  },
  "a STREAMED body gets another length": {
    processor: chunks,
    mode: "STREAMED",
    expected: { status: 200, body: "upstream!" },
  },
  "a FULL_DUPLEX_STREAMED body gets another length": {
    processor: whole("replaced!"),
    mode: "FULL_DUPLEX_STREAMED",
    expected: { status: 200, body: "replaced!" },
  },
  "a body with content-length is not streamed by an override from NONE, but buffered, where its length is a fault": {
    processor: chunks,
    mode: "NONE",
    ...OVERRIDE,
    ...REFUSED,
  },
  "a body without content-length is streamed by an override from NONE": {
    processor: chunks,
    mode: "NONE",
    respond: CHUNKED,
    ...OVERRIDE,
    expected: { status: 200, body: "upstream!" },
  },
  "continueAndReplace gives a body of another length": {
    processor: defineProcessor({ name: "replacing", responseHeaders: () => continueAndReplace("replaced!") }),
    expected: { status: 200, body: "replaced!" },
  },
  "a 304 with a content-length keeps its status": {
    processor: defineProcessor({ name: "status", responseHeaders: () => setStatus(200) }),
    respond: (response) => response.writeHead(304, { "content-length": "8" }).end(),
    ...REFUSED,
  },
  "an ASCII text is sent under Envoy's own content-type": {
    processor: defineProcessor({ name: "deny", requestHeaders: () => immediateResponse(403, { text: "no" }) }),
    expected: { status: 403, body: "no" },
  },
  "a JSON response, whose content-type Envoy would drop, is a fault": {
    processor: defineProcessor({ name: "deny", requestHeaders: () => immediateResponse(403, { json: "no" }) }),
    ...REFUSED,
  },
};

describe.skipIf(envoyBinary === undefined)("behind a real Envoy with disallow_all, which is declared", () => {
  let scenes: RunningScenes;
  const keys = new Map(Object.keys(ROWS).map((name, index) => [name, `row_${index}`]));

  beforeAll(async () => {
    const inits = Object.entries(ROWS).map(
      ([name, { processor, mode = "NONE", respond = WITH_LENGTH, declared, filter }]) => {
        const options = { envoy: { mutationRules: { disallowAll: true }, ...declared } };
        const trailers = mode === "FULL_DUPLEX_STREAMED" ? { response_trailer_mode: "SEND" } : {};
        const init: SceneInit = {
          server: served(processor, options),
          filter: { ...DISALLOW_ALL, ...filter, processing_mode: { response_body_mode: mode, ...trailers } },
          respond,
        };
        return [keys.get(name) ?? "", init] as const;
      },
    );
    scenes = await startScenes(new Map(inits));
  }, 30_000);

  afterAll(() => scenes?.stop());

  test.each(Object.entries(ROWS))("%s", async (name, { expected, fault }) => {
    const scene = scenes.scenes.get(keys.get(name) ?? "");
    if (scene === undefined) throw new Error("the scene did not start");
    expect(await scene.send()).toMatchObject(expected);
    expect((await scene.counters()).rejected_header_mutations ?? 0).toBe(0);
    const codes = (scene.server as ServedScene).logLines().flatMap((line) => line.fault ?? []);
    expect(codes).toEqual(fault === undefined ? [] : [fault]);
  });
});
