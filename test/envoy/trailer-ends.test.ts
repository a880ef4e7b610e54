import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import type { Action, Rule } from "../scenarios/script.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { isSince } from "./rows/envoy-release.ts";
import { eventually } from "./rows/eventually.ts";
import { type RunningScenes, type Scene, type SceneInit, startScenes } from "./rows/scene.ts";
import { on, scripted } from "./rows/script-scenes.ts";
import type { ScriptedServer } from "./scripted.ts";

/** Late, so that all of the request is there when the mode changes. */
const TO_DUPLEX: Rule = on(
  "requestHeaders",
  { waitMs: 100 },
  {
    send: {
      requestHeaders: {},
      modeOverride: { requestBodyMode: "FULL_DUPLEX_STREAMED", requestTrailerMode: "SEND" },
    },
  },
);
const ALLOWED: JsonObject = { allow_mode_override: true };
const DUPLEX: JsonObject = {
  processing_mode: { request_body_mode: "FULL_DUPLEX_STREAMED", request_trailer_mode: "SEND" },
};
const TRAILED = { method: "POST", body: "body", trailers: { "x-t": "1" } };
const ONLY_TRAILED = { ...TRAILED, body: "" };
const LIMIT_BYTES = 64 * 1024;

function piece(body: string): Action {
  const streamedResponse = { body, endOfStream: false };
  return { send: { requestBody: { response: { bodyMutation: { streamedResponse } } } } as never };
}

const ended = {
  send: { requestBody: { response: { bodyMutation: { streamedResponse: { endOfStream: true } } } } },
} as const;

/** Replaces a buffered body by one of twice the limit. */
function grown(direction: "request" | "response"): readonly Rule[] {
  const response = {
    headerMutation: { removeHeaders: ["content-length"] },
    bodyMutation: { body: "x".repeat(2 * LIMIT_BYTES) },
  };
  return [on(`${direction}Body`, { send: { [`${direction}Body`]: { response } } as never })];
}

const INITS = {
  held: { server: scripted(TO_DUPLEX, on("requestBody")), filter: ALLOWED },
  answered: {
    server: scripted(
      TO_DUPLEX,
      on("requestBody", piece("")),
      on("requestTrailers", piece("made"), { send: { requestTrailers: {} } }),
    ),
    filter: ALLOWED,
  },
  bodiless: { server: scripted(TO_DUPLEX), filter: ALLOWED },
  emptyFrame: { server: scripted(TO_DUPLEX, on("requestBody", ended)), filter: ALLOWED },
  surplus: {
    server: scripted(on("requestTrailers", piece("made"), { send: { requestTrailers: {} } })),
    filter: DUPLEX,
  },
  grownRequest: {
    server: scripted(...grown("request")),
    filter: { processing_mode: { request_body_mode: "BUFFERED" } },
    bufferLimitBytes: LIMIT_BYTES,
  },
  grownResponse: {
    server: scripted(...grown("response")),
    filter: { processing_mode: { response_body_mode: "BUFFERED" } },
    bufferLimitBytes: LIMIT_BYTES,
  },
} as const satisfies Record<string, SceneInit>;

describe.skipIf(envoyBinary === undefined)("bodies at their ends", () => {
  let scenes: RunningScenes;

  beforeAll(async () => {
    const idle: JsonObject = { stream_idle_timeout: "1s" };
    const inits = Object.entries(INITS).map(([name, init]): [string, SceneInit] => [name, { ...init, manager: idle }]);
    scenes = await startScenes(new Map(inits));
  });

  afterAll(() => scenes?.stop());

  function scene(name: keyof typeof INITS): Scene<ScriptedServer> {
    return scenes.scenes.get(name) as Scene<ScriptedServer>;
  }

  test("trailers that an override to full duplex finds there wait for an answer to the body's first piece", async () => {
    const { status } = await scene("held").send(TRAILED);
    expect([408, 504]).toContain(status);
    expect((await scene("held").server.call(0)).kinds).not.toContain("requestTrailers");

    expect((await scene("answered").send(TRAILED)).status).toBe(200);
    expect(scene("answered").upstream[0]).toMatchObject({ body: "made", trailers: { "x-t": "1" }, end: "complete" });
  });

  test("trailers that an override to full duplex finds there without a body are never sent, and hang", async () => {
    const { status } = await scene("bodiless").send(ONLY_TRAILED);
    expect([408, 504]).toContain(status);
    const { kinds } = await scene("bodiless").server.call(0);
    expect(kinds.filter((kind) => kind.startsWith("request"))).toEqual(["requestHeaders"]);
  });

  test("an empty frame that an override to full duplex finds there is sent only by 1.40", async () => {
    const request = scene("emptyFrame").open({ method: "POST", headers: { "transfer-encoding": "chunked" } });
    request.end();
    const { status } = await request.outcome;
    expect([408, 504].includes(status ?? 0)).toBe(!isSince("1.40"));
    expect(status === 200).toBe(isSince("1.40"));
  });

  test("a piece before trailers is spurious in full duplex if no piece of the body came", async () => {
    expect((await scene("surplus").send(ONLY_TRAILED)).status).toBe(500);
    await eventually(async () => expect((await scene("surplus").counters()).spurious_msgs_received).toBe(1));
  });

  test("a buffered body that its answer makes larger than the buffer limit is 413, and 500 for a response", async () => {
    expect((await scene("grownRequest").send({ method: "POST", body: "small" })).status).toBe(413);
    expect((await scene("grownResponse").send()).status).toBe(500);
    const [line] = await scene("grownResponse").logged();
    expect(line?.details).toBe("response_payload_too_large");
  });
});
