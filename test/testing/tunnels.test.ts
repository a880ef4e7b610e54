import { describe, expect, test } from "vitest";
import { simulateJson } from "../../src/debug/simulate-json.ts";
import { defineProcessor, type Processor } from "../../src/processor/definition.ts";
import { setHeader } from "../../src/processor/effects.ts";
import { simulate } from "../../src/simulation/simulate.ts";
import type { EnvoyVersion } from "../../src/simulator/settings/simulated-envoy-settings.ts";

const UPGRADE = { connection: "Upgrade", upgrade: "websocket" };
const VERSIONS: readonly EnvoyVersion[] = ["1.36", "1.38", "1.39", "1.40"];
const MODES = ["NONE", "STREAMED", "FULL_DUPLEX_STREAMED", "BUFFERED", "BUFFERED_PARTIAL"] as const;

const required: Processor = defineProcessor({
  name: "required",
  onFault: "closed",
  requestHeaders: () => setHeader("x-seen", "1"),
  requestBody: { read: "chunks", required: true, chunk: () => new Uint8Array() },
  responseBody: { read: "chunks", required: true, chunk: () => new Uint8Array() },
});

function envoyOf(mode: (typeof MODES)[number], envoyVersion: EnvoyVersion) {
  const trailers = mode === "FULL_DUPLEX_STREAMED" ? ("SEND" as const) : ("SKIP" as const);
  return {
    envoyVersion,
    processingMode: {
      requestBodyMode: mode,
      responseBodyMode: mode,
      requestTrailerMode: trailers,
      responseTrailerMode: trailers,
    },
  };
}

/** What keeps a tunnel closed in Envoy itself. */
function isHeld(mode: string, version: string, protocol: string): boolean {
  if (mode.startsWith("BUFFERED")) return true;
  // Over HTTP/1 Envoy sends an empty piece, whose answer lets the headers go.
  return version === "1.39" && (mode === "STREAMED" || (mode === "FULL_DUPLEX_STREAMED" && protocol === "http2"));
}

describe("a tunnel through simulate()", () => {
  for (const version of VERSIONS) {
    for (const mode of MODES) {
      test.each([
        ["an upgrade over HTTP/1", { protocol: "http1", headers: UPGRADE }, { status: 101, headers: UPGRADE }, 101],
        ["an upgrade over HTTP/2", { protocol: "http2", headers: UPGRADE }, { status: 101, headers: UPGRADE }, 200],
        ["CONNECT over HTTP/1", { protocol: "http1", method: "CONNECT", authority: "a:80" }, {}, 200],
        ["CONNECT over HTTP/2", { protocol: "http2", method: "CONNECT", authority: "a:80" }, {}, 200],
      ] as const)(
        `${mode}, Envoy ${version}: %s passes unchanged or is held as by Envoy`,
        async (_name, asked, given, status) => {
          const { response, request, details, faults } = await simulate(required, {
            envoy: envoyOf(mode, version),
          }).send({
            ...asked,
            chunks: ["ping", "pong"],
            response: { ...given, chunks: ["hi"] },
          });
          expect(faults).toEqual([]);
          if (isHeld(mode, version, asked.protocol)) {
            expect([response.status, details]).toEqual([408, "stream_idle_timeout"]);
            return;
          }
          expect([response.status, response.body, request?.body]).toEqual([status, "hi", "pingpong"]);
          expect(request?.headers).toMatchObject({ "x-seen": "1" });
        },
      );
    }
  }

  test("a tunnel that the upstream rejects is an ordinary response, and the client sends nothing through it", async () => {
    const { request, response } = await simulate(required, { envoy: envoyOf("FULL_DUPLEX_STREAMED", "1.40") }).get(
      "/",
      {
        headers: UPGRADE,
        chunks: ["ping"],
        response: { status: 403, chunks: ["an ordinary body, which handlers see"] },
      },
    );
    expect([request?.body, response.status, response.body]).toEqual(["", 403, ""]);
  });

  test("an upstream that is a function of the request answers a tunnel", async () => {
    const { response } = await simulate(required).get("/chat", {
      headers: UPGRADE,
      chunks: ["ping"],
      response: ({ path, headers }) => ({ status: 101, headers: UPGRADE, chunks: [`${path} ${headers.upgrade}`] }),
    });
    expect([response.status, response.body, response.end]).toEqual([101, "/chat websocket", "complete"]);
  });

  test("the JSON of `ext-proc simulate` and of DebugService can open a tunnel", async () => {
    const exchange = {
      request: { headers: UPGRADE, chunks: ["ping"] },
      upstream: { status: 101, headers: UPGRADE, chunks: ["hi"] },
    };
    const simulated = await simulateJson(required, exchange, {});
    if ("problem" in simulated) throw new Error(simulated.problem);
    const { upstreamRequest, clientResponse } = simulated;
    expect([upstreamRequest?.body, clientResponse?.status, clientResponse?.body]).toEqual(["ping", 101, "hi"]);
  });
});
