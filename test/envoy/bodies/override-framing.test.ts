import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import { defineProcessor, overrideMode, type Processor, replaceBody } from "../../../src/index.ts";
import type { ProcessingModeSettings } from "../../../src/protocol/envoy-settings.ts";

import { type IncomingMessage, latin1 } from "../../differential/wire.ts";
import type { BareUpstream } from "../bare-upstream.ts";
import { type ByteUpstream, startByteUpstream } from "../byte-upstream.ts";
import { envoyBinary } from "../envoy-rig.ts";
import { type RunningScenes, type Scene, type SceneInit, startScenes } from "../rows/scene.ts";
import type { ClientInit } from "../rows/scene-client.ts";
import { served } from "../rows/served.ts";
import { readResponses, startScriptedUpstream } from "./raw-exchange.ts";

// Read as a request, or as a response, were the body's end anywhere else.
const BODY = "abcGET /smuggled HTTP/1.1\r\nhost: smuggled.test\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const TRAILERS = { "x-end": "1" };

const CONFIGURED = ["NONE", "BUFFERED", "STREAMED"] as const;
const WANTED = ["NONE", "BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"] as const;
type Mode = (typeof WANTED)[number];

/** How a processor comes to a mode: by the effect, without body handlers, or because a handler needs it. */
const WAYS = ["effect", "grows", "shrinks", "chunks"] as const;
type Way = (typeof WAYS)[number];

const bytes = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));
const text = (body: Uint8Array) => Buffer.from(body).toString("latin1");

/** The body after its handler. */
const MADE: Readonly<Record<Way, (body: string) => string>> = {
  effect: (body) => body,
  grows: (body) => `${body}+${body}`,
  shrinks: (body) => body.slice(0, 5),
  chunks: (body) => body.replaceAll("a", "AA").replaceAll("t", ""),
};

function processorOf(way: Way, mode: Mode): Processor {
  const define = defineProcessor as (definition: object) => Processor;
  if (way === "effect")
    return define({
      name: "effect",
      requestHeaders: () => overrideMode({ requestBody: mode }),
      responseHeaders: () => overrideMode({ responseBody: mode }),
    });
  const make = MADE[way];
  const handler =
    way === "chunks"
      ? { read: "chunks", chunk: (chunk: Uint8Array) => bytes(make(text(chunk))) }
      : { read: "whole", handle: ({ bytes: body }: { bytes: Uint8Array }) => replaceBody(bytes(make(text(body)))) };
  return define({ name: way, requestBody: handler, responseBody: handler });
}

/** The only override that the server may ask for, in one direction; the other one has no body mode. */
function allowed(mode: Mode): readonly ProcessingModeSettings[] {
  const trailers = mode === "FULL_DUPLEX_STREAMED" ? "SEND" : undefined;
  return [
    { requestBodyMode: mode, responseBodyMode: "NONE", requestTrailerMode: trailers },
    { requestBodyMode: "NONE", responseBodyMode: mode, responseTrailerMode: trailers },
  ];
}

interface Pair {
  readonly name: string;
  readonly configured: Mode;
  readonly mode: Mode;
  readonly way: Way;
}

const PAIRS: readonly Pair[] = CONFIGURED.flatMap((configured) =>
  WANTED.filter((mode) => mode !== configured).flatMap((mode) =>
    WAYS.filter((way) => way === "effect" || comesAbout(configured, mode, way)).map((way) => ({
      name: `${configured}-${mode}-${way}`,
      ...{ configured, mode, way },
    })),
  ),
);

/** Whether a handler asks for this mode: only where the configured one does not do. */
function comesAbout(configured: Mode, mode: Mode, way: Way): boolean {
  if (mode === "NONE" || configured === "BUFFERED") return false;
  return way === "chunks" ? configured === "NONE" : mode !== "STREAMED";
}

function chunked(body: string, trailers = ""): string {
  const cut = 40;
  const parts = [body.slice(0, cut), body.slice(cut)].map((part) => `${part.length.toString(16)}\r\n${part}\r\n`);
  return `${parts.join("")}0\r\n${trailers}\r\n`;
}

const RESPONSES = {
  "/length": `HTTP/1.1 200 OK\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`,
  "/chunked": `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunked(BODY)}`,
  "/trailers": `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunked(BODY, "x-end: 1\r\n")}`,
  "/empty": "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
};

const REQUESTS: Readonly<Record<keyof typeof RESPONSES, ClientInit>> = {
  "/length": { method: "POST", body: BODY },
  "/chunked": { method: "POST", body: BODY, trailers: {} },
  "/trailers": { method: "POST", body: BODY, headers: { trailer: "x-end" }, trailers: TRAILERS },
  "/empty": { method: "POST", body: "" },
};
const PATHS = Object.keys(RESPONSES) as (keyof typeof RESPONSES)[];

describe.skipIf(envoyBinary === undefined)("the framing of a body whose mode is overridden", () => {
  let scenes: RunningScenes;
  let responding: BareUpstream;
  const upstreams = new Map<string, ByteUpstream>();

  beforeAll(async () => {
    const inits = new Map<string, SceneInit>();
    responding = await startScriptedUpstream(RESPONSES);
    for (const pair of PAIRS) {
      const upstream = await startByteUpstream();
      upstreams.set(pair.name, upstream);
      const server = served(processorOf(pair.way, pair.mode), {
        envoy: { allowModeOverride: true, allowedOverrideModes: allowed(pair.mode), bufferLimitBytes: 1 << 20 },
      });
      inits.set(`request-${pair.name}`, { server, upstreamPort: upstream.port, filter: filterOf(pair, "request") });
      inits.set(`response-${pair.name}`, { server, upstreamPort: responding.port, filter: filterOf(pair, "response") });
    }
    scenes = await startScenes(inits);
  });

  afterAll(async () => {
    await scenes?.stop();
    await responding?.close();
    await Promise.all([...upstreams.values()].map((upstream) => upstream.close()));
  });

  test.each(PAIRS)(
    "the framing of an overridden body is right at an upstream that reads bytes: $configured to $mode, $way",
    async (pair) => {
      const upstream = upstreams.get(pair.name);
      if (upstream === undefined) throw new Error("there is no upstream");
      for (const path of PATHS) {
        const runs = seesBody(pair, path);
        const already = upstream.requests.length;
        const outcome = await sceneOf("request", pair).send({ ...REQUESTS[path], path });
        // On the connection of the one before.
        const next = await sceneOf("request", pair).send({ path: "/next" });
        expect([outcome.status, next.status], `${path}: ${outcome.body}`).toEqual([runs === "faults" ? 500 : 200, 200]);
        const requests = upstream.requests.slice(already).map(({ requestLine, body }) => [requestLine, body]);
        const own = [`POST ${path} HTTP/1.1`, runs === "made" ? MADE[pair.way](bodyOf(path)) : bodyOf(path)];
        expect(requests, path).toEqual([...(runs === "faults" ? [] : [own]), ["GET /next HTTP/1.1", ""]]);
      }
      expect(upstream.problems).toEqual([]);
    },
  );

  test.each(PAIRS)(
    "the framing of an overridden body is right for a client that reads bytes: $configured to $mode, $way",
    async (pair) => {
      for (const path of PATHS) {
        const runs = seesBody(pair, path);
        const { port } = sceneOf("response", pair);
        const sent = `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\nGET /empty HTTP/1.1\r\nhost: x\r\n\r\n`;
        const responses = await readResponses(port, sent, 2);
        const status = runs === "faults" ? "500" : "200";
        expect(responses.map(statusOf), path).toEqual([status, "200"]);
        const [first, second] = responses.map(({ chunks }) => latin1(Buffer.concat(chunks)));
        if (runs !== "faults") expect(first, path).toBe(runs === "made" ? MADE[pair.way](bodyOf(path)) : bodyOf(path));
        expect(second, path).toBe("");
        expect(
          responses.map(({ end, surplus }) => [end, surplus]),
          path,
        ).toEqual([
          ["complete", []],
          ["complete", []],
        ]);
      }
    },
  );

  function sceneOf(direction: "request" | "response", { name }: Pair): Scene {
    const scene = scenes.scenes.get(`${direction}-${name}`);
    if (scene === undefined) throw new Error(`there is no scene ${name}`);
    return scene;
  }
});

function bodyOf(path: keyof typeof RESPONSES): string {
  return path === "/empty" ? "" : BODY;
}

function statusOf({ fields }: IncomingMessage): string | undefined {
  return fields?.find(([name]) => name === ":status")?.[1];
}

/** What happens to a body: its handler gets it, it passes because Envoy would ignore the override, or it is a fault. */
function seesBody({ configured, mode, way }: Pair, path: keyof typeof RESPONSES): "made" | "passes" | "faults" {
  const isKnown = path === "/length";
  // The headers end the message.
  if (path === "/empty") return "passes";
  if (way === "effect") {
    // Envoy would hang above its limit, and the length of the body is not known.
    return mode === "BUFFERED" && !isKnown ? "faults" : "made";
  }
  if (mode === "FULL_DUPLEX_STREAMED" || mode === "STREAMED") return "made";
  if (isKnown) return "made";
  return configured === "NONE" ? "passes" : "faults";
}

function filterOf({ configured }: Pair, direction: "request" | "response"): JsonObject {
  const other = direction === "request" ? "response" : "request";
  return {
    allow_mode_override: true,
    processing_mode: { [`${direction}_body_mode`]: configured, [`${other}_header_mode`]: "SKIP" },
  };
}
