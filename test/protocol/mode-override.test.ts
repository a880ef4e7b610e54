import { describe, expect, test } from "vitest";
import { declareEnvoy } from "../../src/protocol/envoy-declaration.ts";
import type { DeclaredEnvoySettings, ProcessingModeSettings } from "../../src/protocol/envoy-settings.ts";
import {
  type ModeOverride,
  type Modes,
  type OverrideSituation,
  resolveModeOverride,
  toProcessingMode,
} from "../../src/protocol/mode-override.ts";

const NONE: Modes = { requestBody: "NONE", responseBody: "NONE" };

type Situation = Partial<Omit<OverrideSituation, "declaration">> & { readonly declared?: DeclaredEnvoySettings };

/** The override, or the text of the problem. */
function resolve(wanted: ModeOverride, { declared = { allowModeOverride: true }, ...rest }: Situation = {}) {
  const resolved = resolveModeOverride(wanted, {
    phase: "requestHeaders",
    declaration: declareEnvoy(declared),
    configured: rest.modes ?? NONE,
    modes: NONE,
    earlier: undefined,
    sendsBodyAtOnce: false,
    bodyBytes: undefined,
    ...rest,
  });
  return resolved !== undefined && "problem" in resolved ? resolved.problem : resolved;
}

describe("an override", () => {
  test("an override repeats the body mode of the other direction, which would become NONE", () => {
    const modes: Modes = { requestBody: "NONE", responseBody: "BUFFERED" };
    expect(resolve({ requestBody: "STREAMED" }, { modes })).toEqual({
      requestBody: "STREAMED",
      responseBody: "BUFFERED",
    });
  });

  test("an override requests the trailers of a full-duplex body", () => {
    expect(resolve({ requestBody: "FULL_DUPLEX_STREAMED" })).toMatchObject({ requestTrailers: "SEND" });
    expect(resolve({ responseBody: "FULL_DUPLEX_STREAMED" })).toMatchObject({ responseTrailers: "SEND" });
    expect(resolve({ responseBody: "FULL_DUPLEX_STREAMED" })).not.toMatchObject({ requestTrailers: "SEND" });
  });

  test("an override repeats what was overridden before, since Envoy starts from its configuration", () => {
    const modes: Modes = { requestBody: "FULL_DUPLEX_STREAMED", responseBody: "NONE" };
    const earlier: ModeOverride = { responseTrailers: "SEND" };
    expect(
      resolve({ responseBody: "STREAMED" }, { phase: "responseHeaders", modes, configured: NONE, earlier }),
    ).toEqual({
      requestBody: "FULL_DUPLEX_STREAMED",
      requestTrailers: "SEND",
      responseBody: "STREAMED",
      responseTrailers: "SEND",
      responseHeaders: undefined,
    });
  });

  test("an override that changes nothing is not sent", () => {
    expect(resolve({ requestBody: "NONE", responseBody: undefined })).toBeUndefined();
    expect(resolve({ responseHeaders: "SKIP" }, { earlier: { responseHeaders: "SKIP" } })).toBeUndefined();
    expect(resolve({ requestBody: "NONE" }, { declared: {} })).toBeUndefined();
  });

  test("an override has every field of Envoy's message, with DEFAULT for what it does not set", () => {
    const all: ModeOverride = {
      requestBody: "BUFFERED_PARTIAL",
      requestTrailers: "SEND",
      responseHeaders: "SKIP",
      responseBody: "STREAMED",
    };
    expect(toProcessingMode(all)).toMatchObject({
      requestHeaderMode: 0,
      requestBodyMode: 3,
      requestTrailerMode: 1,
      responseHeaderMode: 2,
      responseBodyMode: 1,
      responseTrailerMode: 0,
    });
  });
});

describe("an override that Envoy would ignore", () => {
  test.each<[string, ModeOverride, Situation, string]>([
    ["undeclared", { requestBody: "STREAMED" }, { declared: {} }, "declare allowModeOverride"],
    [
      "with a body that is sent at once",
      { requestBody: "BUFFERED_PARTIAL" },
      { sendsBodyAtOnce: true },
      "send_body_without_waiting_for_header_response",
    ],
    [
      "if the other direction is full-duplex",
      { requestBody: "STREAMED" },
      { modes: { requestBody: "NONE", responseBody: "FULL_DUPLEX_STREAMED" } },
      "if a configured body mode is FULL_DUPLEX_STREAMED",
    ],
    [
      "of what is past",
      { requestBody: "STREAMED" },
      { phase: "responseHeaders" },
      "requestBody is past when response headers are answered",
    ],
    [
      "if the other mode is not known",
      { requestBody: "STREAMED" },
      { modes: { requestBody: undefined, responseBody: undefined } },
      "the override must name both",
    ],
  ])("an override that Envoy would ignore is refused: %s", (_what, wanted, situation, message) => {
    expect(resolve(wanted, situation)).toContain(message);
  });

  test("a refusal names both modes if Envoy sent neither", () => {
    const modes: Modes = { requestBody: undefined, responseBody: undefined };
    expect(resolve({ requestBody: "STREAMED", responseBody: "NONE" }, { modes })).toBeTypeOf("object");
  });
});

describe("an override to BUFFERED", () => {
  const wanted: ModeOverride = { requestBody: "BUFFERED" };
  const limit = { declared: { allowModeOverride: true, bufferLimitBytes: 100 } };

  test("an override to BUFFERED is sent for a body whose length is known and within the declared buffer limit", () => {
    for (const bodyBytes of [0, 1, 100])
      expect(resolve(wanted, { ...limit, bodyBytes })).toMatchObject({ requestBody: "BUFFERED" });
  });

  test("an override to BUFFERED is refused on an assumed buffer limit, however short the body, since Envoy hangs above its limit", () => {
    const assumed = { declared: { allowModeOverride: true }, bodyBytes: 1 };
    expect(resolve(wanted, assumed)).toContain("before bufferLimitBytes is declared");
    const response: Situation = { ...assumed, phase: "responseHeaders" };
    expect(resolve({ responseBody: "BUFFERED" }, response)).toContain("before bufferLimitBytes is declared");
  });

  test("an override to BUFFERED is refused for a longer body, and for one of unknown length, since Envoy would hang", () => {
    expect(resolve(wanted, { ...limit, bodyBytes: 101 })).toContain("more than bufferLimitBytes (100)");
    expect(resolve(wanted, limit)).toContain("while the length of the body is not known");
    expect(resolve({ responseBody: "BUFFERED" }, { ...limit, bodyBytes: 5 })).toContain("is not known");
    const untold: Situation = { ...limit, modes: { requestBody: undefined, responseBody: "NONE" } };
    expect(resolve({ ...wanted, responseBody: "NONE" }, untold)).toContain("is not known");
    const response: Situation = { ...limit, phase: "responseHeaders", bodyBytes: 5 };
    expect(resolve({ responseBody: "BUFFERED" }, response)).toMatchObject({ responseBody: "BUFFERED" });
  });

  test.each(["STREAMED", "BUFFERED_PARTIAL"] as const)(
    "an override to BUFFERED has the same rules if the body was %s before",
    (before) => {
      const modes: Modes = { requestBody: before, responseBody: "NONE" };
      expect(resolve(wanted, { ...limit, modes, bodyBytes: 100 })).toMatchObject({ requestBody: "BUFFERED" });
      expect(resolve(wanted, { ...limit, modes, bodyBytes: 101 })).toContain("more than bufferLimitBytes (100)");
      expect(resolve(wanted, { ...limit, modes })).toContain("is not known");
    },
  );
});

describe("a list of allowed overrides", () => {
  const allow = (...allowedOverrideModes: readonly ProcessingModeSettings[]) => ({
    declared: { allowModeOverride: true, allowedOverrideModes },
  });

  test("a list of allowed overrides allows an override whose result is in it, and no other", () => {
    const list = allow({ requestBodyMode: "STREAMED" }, { requestBodyMode: "STREAMED", responseBodyMode: "STREAMED" });
    expect(resolve({ requestBody: "STREAMED" }, list)).toMatchObject({ responseBody: "NONE" });
    expect(resolve({ responseBody: "STREAMED" }, list)).toContain(
      "not among the modes that allowedOverrideModes declares",
    );
    expect(resolve({ requestBody: "STREAMED", responseTrailers: "SEND" }, list)).toBeTypeOf("string");
  });

  test("a list of allowed overrides sets what an override leaves open, since Envoy compares literally", () => {
    const list = allow({ requestBodyMode: "STREAMED", requestTrailerMode: "SEND", responseHeaderMode: "SEND" });
    expect(resolve({ requestBody: "STREAMED" }, list)).toMatchObject({
      requestTrailers: "SEND",
      responseHeaders: "SEND",
    });
  });

  test("a list of allowed overrides does not make an override skip the response headers unless it asks for that", () => {
    const list = allow({ requestBodyMode: "STREAMED", responseHeaderMode: "SKIP" });
    expect(resolve({ requestBody: "STREAMED" }, list)).toBeTypeOf("string");
    expect(resolve({ requestBody: "STREAMED", responseHeaders: "SKIP" }, list)).toBeTypeOf("object");
  });
});
