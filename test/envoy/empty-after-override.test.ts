import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { appendChunk, defineProcessor, type Processor } from "../../src/index.ts";
import { EMPTY_REQUEST_AFTER_MS } from "../../src/session/body-wait.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { isSince } from "./rows/envoy-release.ts";
import { type RunningScenes, type Scene, type SceneInit, startScenes } from "./rows/scene.ts";
import { countedBy, type ServedScene, served } from "./rows/served.ts";

/** The whole message is there before the answer that overrides the mode: on that an older Envoy hangs. */
const HELD_MS = 100;
const held = () => delay(HELD_MS).then(() => undefined);
const TIMEOUT_MS = 300;

const seen: string[] = [];
const whole = { read: "text", handle: (text: string) => void seen.push(text) } as const;
const tailed = { read: "chunks", chunk: () => undefined, end: () => appendChunk("!") } as const;
const looking = { read: "inspect", chunk: () => undefined } as const;

/** Policy `closed`: nothing passes unseen. */
function processor(handlers: object): Processor {
  const rules = { timeoutMs: 1000, onFault: "closed" } as const;
  return defineProcessor({ name: "p", ...rules, requestHeaders: held, responseHeaders: held, ...handlers } as never);
}

const declared = { envoy: { allowModeOverride: true, overriddenBodyTimeoutMs: TIMEOUT_MS } } as const;
const filter: JsonObject = { allow_mode_override: true };
const SKIPPED: JsonObject = { ...filter, processing_mode: { response_header_mode: "SKIP" } };
const scene = (handlers: object, more: Partial<SceneInit> = {}): SceneInit =>
  ({ server: served(processor(handlers), declared), filter, ...more }) as never;

const INITS: Readonly<Record<string, SceneInit>> = {
  wholeRequest: scene({ requestBody: whole }),
  tailedRequest: scene({ requestBody: tailed }),
  skippedResponse: scene({ requestBody: whole, responseHeaders: undefined }, { filter: SKIPPED }),
  wholeResponse: scene({ responseBody: whole }),
  tailedResponse: scene({ responseBody: tailed }),
  lookedAtResponse: scene({ responseBody: looking }),
  lateResponse: scene(
    { responseBody: whole },
    {
      respond(response) {
        response.flushHeaders();
        setTimeout(() => response.end("late"), 2 * TIMEOUT_MS);
      },
    },
  ),
  ignoredOverride: scene(
    { requestBody: tailed, responseHeaders: undefined },
    {
      filter: {},
      respond(response) {
        response.write("begun, ");
        setTimeout(() => response.end("ended"), EMPTY_REQUEST_AFTER_MS + 4 * HELD_MS);
      },
    },
  ),
  trailedResponse: scene(
    { responseBody: whole },
    {
      respond(response) {
        response.writeHead(200, { trailer: "x-sum" });
        response.addTrailers({ "x-sum": "1" });
        response.end();
      },
    },
  ),
};

/** An empty chunked response, unless a scene says otherwise. */
const respond: SceneInit["respond"] = (response) => {
  response.writeHead(200, { "x-upstream": "yes" });
  response.end();
};

describe.skipIf(envoyBinary === undefined)("an empty message that an override for its body finds there", () => {
  let scenes: RunningScenes;

  beforeAll(async () => {
    scenes = await startScenes(new Map(Object.entries(INITS).map(([name, init]) => [name, { respond, ...init }])));
  });

  afterAll(() => scenes?.stop());

  function sceneOf(name: string): Scene<ServedScene> {
    return scenes.scenes.get(name) as Scene<ServedScene>;
  }

  async function chunked(name: string, ...pieces: readonly string[]) {
    const request = sceneOf(name).open({ method: "POST", headers: { "transfer-encoding": "chunked" } });
    for (const piece of pieces) request.write(piece);
    request.end();
    return await request.outcome;
  }

  test.each(["wholeRequest", "tailedRequest", "skippedResponse"])(
    "an empty request that an override finds (%s) reaches the upstream without a call of the handler",
    async (name) => {
      seen.length = 0;
      expect((await chunked(name)).status).toBe(200);
      expect(sceneOf(name).upstream.at(-1)).toMatchObject({ body: "", end: "complete" });
      expect(seen).toEqual([]);
    },
  );

  test.each(["wholeRequest", "tailedRequest", "skippedResponse"])(
    "a request that has only trailers when an override comes (%s) reaches the upstream",
    async (name) => {
      const { status } = await sceneOf(name).send({ method: "POST", body: "", trailers: { "x-t": "1" } });
      expect(status).toBe(200);
      expect(sceneOf(name).upstream.at(-1)).toMatchObject({ body: "", trailers: { "x-t": "1" }, end: "complete" });
    },
  );

  test.each(["wholeRequest", "skippedResponse"])(
    "a request whose body comes late (%s) does not count as empty: its handler sees the body",
    async (name) => {
      seen.length = 0;
      const request = sceneOf(name).open({ method: "POST", headers: { "transfer-encoding": "chunked" } });
      await delay(EMPTY_REQUEST_AFTER_MS + 4 * HELD_MS);
      request.write("late ");
      await delay(HELD_MS);
      request.write("body");
      request.end();
      expect((await request.outcome).status).toBe(200);
      expect(seen).toEqual(["late body"]);
      expect(sceneOf(name).upstream.at(-1)).toMatchObject({ body: "late body", end: "complete" });
    },
  );

  test.each(["wholeResponse", "tailedResponse", "lookedAtResponse"])(
    "an empty response that an override finds (%s) reaches the client at once",
    async (name) => {
      const started = performance.now();
      const { status, body, complete, headers } = await sceneOf(name).send();
      expect({ status, body, complete, upstream: headers["x-upstream"] }).toEqual({
        status: 200,
        body: "",
        complete: true,
        upstream: "yes",
      });
      expect(performance.now() - started).toBeLessThan(EMPTY_REQUEST_AFTER_MS);
    },
  );

  test("a response whose body comes late does not count as empty: its handler sees the body", async () => {
    seen.length = 0;
    expect(await sceneOf("lateResponse").send()).toMatchObject({ status: 200, body: "late", complete: true });
    expect(seen).toEqual(["late"]);
  });

  test("a slow response after an override that Envoy ignores is complete", async () => {
    expect(await chunked("ignoredOverride", "body")).toMatchObject({
      status: 200,
      body: "begun, ended",
      complete: true,
    });
  });

  test("a response that announced trailers and has nothing else is 504 and fault body_stalled", async () => {
    expect((await sceneOf("trailedResponse").send()).status).toBe(504);
    expect(await countedBy(sceneOf("trailedResponse"))).toContain("body_stalled immediate_response: 1");
  });

  test("an empty request waits for a second, and an empty frame does not wait from Envoy 1.40 on", async () => {
    const started = performance.now();
    await chunked("wholeRequest");
    const tookMs = performance.now() - started;
    if (isSince("1.40")) expect(tookMs).toBeLessThan(EMPTY_REQUEST_AFTER_MS);
    else expect(tookMs).toBeGreaterThanOrEqual(EMPTY_REQUEST_AFTER_MS);
  });

  test("no empty message that an override finds causes a fault", async () => {
    for (const name of Object.keys(INITS).filter((name) => name !== "trailedResponse"))
      expect(await countedBy(sceneOf(name)), name).toEqual([expect.stringMatching(/^completed: \d+$/)]);
  });
});
