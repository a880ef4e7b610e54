import { describe, expect, test } from "vitest";
import type { HttpReport } from "../../src/simulator/report/report.ts";
import type { SimulatedEnvoySettings } from "../../src/simulator/settings/simulated-envoy-settings.ts";
import { simulateWith } from "../../src/simulator/simulate-with.ts";
import { conversation, headerOf, headersAnswer, modeOverride, serverOf, simulate, warningCodes } from "./servers.ts";

function sent(outcome: HttpReport, index: number) {
  const found = outcome.messages.filter(({ from }) => from === "envoy")[index];
  if (found?.from !== "envoy") throw new Error(`there is no message ${index}`);
  return found.message;
}

describe("messages of Envoy to the server", () => {
  test("the messages begin with the body modes, once", () => {
    const settings = { processingMode: { requestBodyMode: "BUFFERED" as const } };
    const outcome = simulate({}, settings, { request: { chunks: ["x"] } });
    expect(sent(outcome, 0).protocolConfig).toMatchObject({ requestBodyMode: 2, responseBodyMode: 0 });
    expect(sent(outcome, 1).protocolConfig).toBeUndefined();
  });

  test("the first message of each direction has attributes", () => {
    const settings: SimulatedEnvoySettings = {
      requestAttributes: ["request.path", "source.address", "no.such"],
      responseAttributes: ["response.code"],
    };
    const outcome = simulate({}, settings, { attributes: { "source.address": "10.0.0.1:80" } });
    const key = "envoy.filters.http.ext_proc";
    expect(sent(outcome, 0).attributes).toEqual({ [key]: { "request.path": "/", "source.address": "10.0.0.1:80" } });
    expect(sent(outcome, 1).attributes).toEqual({ [key]: { "response.code": 200 } });
  });

  test("every message has metadata of the configured namespaces", () => {
    const metadataOptions = { forwardingNamespaces: { untyped: ["a", "missing"] } };
    const outcome = simulate({}, { metadataOptions }, { dynamicMetadata: { a: { x: 1 }, b: { y: 2 } } });
    for (const index of [0, 1]) {
      expect(sent(outcome, index).metadataContext?.filterMetadata).toEqual({ a: { x: 1 } });
    }
  });

  test("the messages leave out headers that forward_rules keep", () => {
    const outcome = simulate({}, { forwardRules: { allowedHeaders: [{ exact: ":method" }] } });
    expect(sent(outcome, 0).request.value).toMatchObject({ headers: { headers: [{ key: ":method" }] } });
  });

  test("the stream has the initial metadata of filter and route", () => {
    let seen: Readonly<Record<string, string>> = {};
    const neutral = serverOf();
    const settings = { grpcInitialMetadata: { A: "1" }, perRoute: { grpcInitialMetadata: { b: "2" } } };
    simulateWith(
      {
        open(stream, metadata) {
          seen = metadata;
          return neutral.open(stream, metadata);
        },
      },
      settings,
      {},
    );
    expect(seen).toEqual({ a: "1", b: "2" });
  });

  test("no message is sent on a route with a disabled filter", () => {
    expect(simulate({}, { perRoute: { disabled: true } })).toMatchObject({ messages: [], streamEnd: "none" });
  });

  test("the messages contain a local reply of Envoy's, except in 1.36", () => {
    const exchange = { routes: [{ name: "a", pathPrefix: "/a" }] };
    expect(conversation(simulate({}, {}, exchange))).toBe("requestHeaders! < responseHeaders! <");
    expect(conversation(simulate({}, { envoyVersion: "1.36" }, exchange))).toBe("requestHeaders! <");
  });
});

describe("a mode override", () => {
  const post = { request: { chunks: ["a", "b"], chunkIntervalMs: 5 } };

  test("a mode override is honoured if it is allowed", () => {
    const outcome = simulate(
      { requestHeaders: [modeOverride({ requestBodyMode: 2 })] },
      { allowModeOverride: true },
      post,
    );
    expect(conversation(outcome)).toBe("requestHeaders < requestBody! < responseHeaders! <");
  });

  test.each<[string, SimulatedEnvoySettings]>([
    ["it is not allowed", {}],
    ["it is not in the list", { allowModeOverride: true, allowedOverrideModes: [{ requestBodyMode: "STREAMED" }] }],
    [
      "a body mode is FULL_DUPLEX_STREAMED",
      {
        allowModeOverride: true,
        processingMode: { responseBodyMode: "FULL_DUPLEX_STREAMED", responseTrailerMode: "SEND" },
      },
    ],
    ["the body is sent early", { allowModeOverride: true, sendBodyWithoutWaitingForHeaderResponse: true }],
  ])("a mode override is ignored with a warning if %s", (_, settings) => {
    const outcome = simulate({ requestHeaders: [modeOverride({ requestBodyMode: 2 })] }, settings, post);
    expect(conversation(outcome)).not.toContain("requestBody");
    expect(warningCodes(outcome)).toContain("mode_override_ignored");
  });

  test("a mode override turns the other body off unless it is named, and warns", () => {
    const settings: SimulatedEnvoySettings = {
      allowModeOverride: true,
      processingMode: { responseBodyMode: "BUFFERED" },
    };
    const outcome = simulate({ requestHeaders: [modeOverride({ requestBodyMode: 2 })] }, settings, {
      response: { chunks: ["x"] },
    });
    expect(conversation(outcome)).not.toContain("responseBody");
    expect(warningCodes(outcome)).toContain("mode_override_resets_body_mode");
  });

  test.each([
    ["1.40", 200],
    ["1.39", 500],
  ] as const)("a mode override may come in a separate message since Envoy 1.40 (%s)", (envoyVersion, status) => {
    const direct = [
      { modeOverride: { requestBodyMode: 4, requestTrailerMode: 1 } },
      { response: { case: "requestHeaders" as const, value: {} } },
    ];
    expect(simulate({ requestHeaders: direct }, { allowModeOverride: true, envoyVersion }).client.status).toBe(status);
  });
});

describe("observability mode", () => {
  const settings: SimulatedEnvoySettings = { observabilityMode: true, processingMode: { requestBodyMode: "STREAMED" } };

  test("observability mode copies messages, and takes no answer", () => {
    const immediate = { response: { case: "immediateResponse" as const, value: { status: { code: 403 } } } };
    const outcome = simulate({ requestHeaders: [immediate] }, settings, { request: { chunks: ["x"] } });
    expect(outcome.client.status).toBe(200);
    expect(conversation(outcome)).toContain("requestHeaders requestBody requestBody!");
    expect(warningCodes(outcome)).toContain("answer_in_observability_mode");
    expect(sent(outcome, 0).observabilityMode).toBe(true);
    expect(sent(outcome, 0).protocolConfig).toBeUndefined();
  });

  test("observability mode closes the stream after a while", () => {
    expect(simulate({}, settings).counters.streams_closed).toBe(1);
  });

  test("observability mode still fails with its server", () => {
    const outcome = simulate({ requestHeaders: (stream) => stream.end(13) }, settings, { response: { delayMs: 5 } });
    expect(outcome.client.status).toBe(500);
  });
});

describe("dynamic metadata", () => {
  test("dynamic metadata is taken in configured namespaces, merged at the top, and dropped elsewhere with a warning", () => {
    const answers = [
      {
        response: { case: "requestHeaders" as const, value: {} },
        dynamicMetadata: { a: { v: { y: 1 }, x: 1 }, b: { z: 1 } },
      },
    ];
    const later = [
      { response: { case: "responseHeaders" as const, value: {} }, dynamicMetadata: { a: { v: {}, w: 2 } } },
    ];
    const metadataOptions = { receivingNamespaces: { untyped: ["a"] } };
    const outcome = simulate({ requestHeaders: answers, responseHeaders: later }, { metadataOptions });
    expect(outcome.dynamicMetadata).toEqual({ a: { v: {}, w: 2, x: 1 } });
    expect(outcome.warnings).toMatchObject([{ code: "dynamic_metadata_dropped", header: "b" }]);
  });
});

describe("the route cache", () => {
  const routes = [{ name: "new", pathPrefix: "/new" }, { name: "old" }];
  const move = (clearRouteCache: boolean) => {
    const answer = headersAnswer("requestHeaders", { ":path": "/new" });
    if (answer.response?.case === "requestHeaders" && answer.response.value.response) {
      answer.response.value.response.clearRouteCache = clearRouteCache;
    }
    return { requestHeaders: [answer] };
  };

  test.each<[string, boolean, SimulatedEnvoySettings, string]>([
    ["without being asked", false, {}, "old"],
    ["when asked", true, {}, "new"],
    ["unasked with CLEAR", false, { routeCacheAction: "CLEAR" }, "new"],
    ["without effect with RETAIN", true, { routeCacheAction: "RETAIN" }, "old"],
  ])("the route cache gives the right route if it is cleared %s", (_, asked, settings, route) => {
    const outcome = simulate(move(asked), settings, { routes });
    expect(outcome.upstream?.route).toBe(route);
    expect(headerOf(outcome.upstream, ":path")).toBe("/new");
    expect(outcome.counters.clear_route_cache_disabled).toBe(settings.routeCacheAction === "RETAIN" ? 1 : 0);
  });

  test("the route cache is not cleared without a mutation, which is counted", () => {
    const answer = { response: { case: "requestHeaders" as const, value: { response: { clearRouteCache: true } } } };
    const outcome = simulate({ requestHeaders: [answer] });
    expect(outcome.counters.clear_route_cache_ignored).toBe(1);
    expect(warningCodes(outcome)).toContain("clear_route_cache_ignored");
  });
});

describe("the end of the stream", () => {
  test.each<[string, SimulatedEnvoySettings, string]>([
    ["after the last answer", {}, "reset"],
    ["after the transaction in 1.36", { envoyVersion: "1.36" }, "reset"],
    [
      "after the transaction if a request body was buffered",
      { processingMode: { requestBodyMode: "BUFFERED" } },
      "half_close_and_reset",
    ],
  ])("the end of the stream comes %s", (_, settings, end) => {
    const outcome = simulate({}, settings, {
      request: { chunks: ["x"] },
      response: settings.processingMode ? { chunks: ["a", "b"], chunkIntervalMs: 5 } : {},
    });
    expect(outcome.streamEnd).toBe(end);
    expect(outcome.counters.streams_closed).toBe(1);
  });
});
