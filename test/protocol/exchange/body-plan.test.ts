import { describe, expect, test } from "vitest";
import { type BodyNeeds, type BodySituation, planBody } from "../../../src/protocol/exchange/body-plan.ts";

const LOOKS: BodyNeeds = {
  whole: false,
  tail: false,
  changes: false,
  required: false,
  piecewise: true,
  unfitForGrpc: false,
};
const CHUNKS: BodyNeeds = { ...LOOKS, changes: true };
const TAILED: BodyNeeds = { ...CHUNKS, tail: true };
const STREAM: BodyNeeds = { ...TAILED, unfitForGrpc: true };
const WHOLE: BodyNeeds = { ...CHUNKS, whole: true, piecewise: false, unfitForGrpc: true };
const GRPC: BodyNeeds = { ...CHUNKS, piecewise: false };
const NEEDS = { GRPC, LOOKS, CHUNKS, TAILED, STREAM, WHOLE };

/** The plan in a few words: the mode, `<-` if it is requested, held headers, how the end is known, or a fault code. */
function planned(needs: BodyNeeds, situation: Partial<BodySituation> & { readonly allowed?: boolean }): string {
  const { allowed = false, ...given } = situation;
  const plan = planBody({
    phase: "requestBody",
    needs,
    mode: "BUFFERED",
    bodyBytes: undefined,
    answersHeaders: true,
    watched: false,
    bufferLimitBytes: 1000,
    override: (requestBody) => (allowed ? { requestBody } : { problem: "no override is declared" }),
    ...given,
  });
  if (plan.kind !== "run") return plan.kind === "fault" ? plan.code : plan.kind;
  const words = [plan.mode ?? "unknown", plan.end];
  if (plan.override) words.push(`<- ${plan.override.requestBody}`);
  if (plan.holdsHeaders) words.push("held");
  if (plan.takesHeaderChanges) words.push("headers");
  if (plan.endKnown) words.push("known");
  return words.join(" ");
}

type Case = readonly [needs: keyof typeof NEEDS, mode: BodySituation["mode"], bytes: number | undefined, plan: string];

const DUPLEX = "FULL_DUPLEX_STREAMED";

/** Every kind of need, in every mode, with and without a length, if no override is declared. */
const FIXED: readonly Case[] = [
  ...(["LOOKS", "CHUNKS", "TAILED", "STREAM", "WHOLE"] as const).flatMap((needs): Case[] => [
    [needs, "NONE", 10, "unseen"],
    [needs, "NONE", undefined, "unseen"],
    [needs, "BUFFERED", 10, "BUFFERED message headers known"],
    [needs, "BUFFERED", undefined, "BUFFERED message headers known"],
    [needs, "BUFFERED_PARTIAL", undefined, "BUFFERED_PARTIAL message headers known"],
    [needs, "STREAMED", 10, "STREAMED count known"],
    [needs, "STREAMED", undefined, needs === "WHOLE" ? "body_end_unknowable" : "STREAMED eos"],
    [needs, DUPLEX, 10, needs === "WHOLE" ? `${DUPLEX} eos held headers known` : `${DUPLEX} eos known`],
    [needs, DUPLEX, undefined, needs === "WHOLE" ? `${DUPLEX} eos held headers known` : `${DUPLEX} eos known`],
    [
      needs,
      "GRPC",
      undefined,
      needs === "WHOLE" || needs === "STREAM" ? "handler_unsupported_in_mode" : "GRPC eos known",
    ],
    [needs, undefined, 10, "unknown count headers known"],
    [needs, undefined, undefined, "unknown eos headers"],
  ]),
];

/** The cases that differ if overrides are declared. */
const ALLOWED: readonly Case[] = [
  ["LOOKS", "NONE", 10, "STREAMED count <- STREAMED known"],
  ["LOOKS", "NONE", undefined, "STREAMED eos <- STREAMED"],
  ["CHUNKS", "NONE", undefined, "STREAMED eos <- STREAMED"],
  ["TAILED", "NONE", 10, "STREAMED count <- STREAMED known"],
  ["TAILED", "NONE", undefined, `${DUPLEX} eos <- ${DUPLEX} known`],
  ["STREAM", "NONE", undefined, `${DUPLEX} eos <- ${DUPLEX} known`],
  ["WHOLE", "NONE", 10, "BUFFERED message <- BUFFERED headers known"],
  ["WHOLE", "NONE", 2000, `${DUPLEX} eos <- ${DUPLEX} known`],
  ["WHOLE", "NONE", undefined, `${DUPLEX} eos <- ${DUPLEX} known`],
  ["LOOKS", "STREAMED", undefined, "STREAMED eos"],
  ["CHUNKS", "STREAMED", undefined, "STREAMED eos"],
  ["TAILED", "STREAMED", 10, "STREAMED count known"],
  ["TAILED", "STREAMED", undefined, `${DUPLEX} eos <- ${DUPLEX} known`],
  ["WHOLE", "STREAMED", 10, "BUFFERED message <- BUFFERED headers known"],
  ["WHOLE", "STREAMED", 2000, `${DUPLEX} eos <- ${DUPLEX} known`],
  ["WHOLE", "BUFFERED", undefined, "BUFFERED message headers known"],
  ...(["LOOKS", "CHUNKS", "TAILED", "STREAM"] as const).flatMap((needs): Case[] => [
    [needs, "BUFFERED", 1000, "BUFFERED message headers known"],
    [needs, "BUFFERED", 1001, "STREAMED count <- STREAMED known"],
    [needs, "BUFFERED", undefined, "STREAMED eos <- STREAMED"],
  ]),
  ["GRPC", "BUFFERED", undefined, "BUFFERED message headers known"],
  ["WHOLE", DUPLEX, undefined, `${DUPLEX} eos held headers known`],
];

describe("the mode of a body", () => {
  test.each(FIXED)(
    "the need %s in mode %s, for %s bytes, gives without overrides the plan: %s",
    (needs, mode, bodyBytes, plan) => {
      expect(planned(NEEDS[needs], { mode, bodyBytes })).toBe(plan);
    },
  );

  test.each(ALLOWED)(
    "the need %s in mode %s, for %s bytes, gives with overrides the plan: %s",
    (needs, mode, bodyBytes, plan) => {
      expect(planned(NEEDS[needs], { mode, bodyBytes, allowed: true })).toBe(plan);
    },
  );

  test.each<Case>([
    ["WHOLE", "NONE", 10, `${DUPLEX} eos <- ${DUPLEX} known`],
    ["WHOLE", "STREAMED", 10, `${DUPLEX} eos <- ${DUPLEX} known`],
    ["WHOLE", "BUFFERED_PARTIAL", 10, "BUFFERED_PARTIAL message headers known"],
    ["WHOLE", "BUFFERED_PARTIAL", 2 << 20, `${DUPLEX} eos <- ${DUPLEX} known`],
    ["CHUNKS", "NONE", 10, "STREAMED count <- STREAMED known"],
    ["CHUNKS", "BUFFERED", 10, "STREAMED count <- STREAMED known"],
  ])(
    "the need %s in mode %s, for %s bytes, gives no override to BUFFERED if the buffer limit is assumed, but the plan: %s",
    (needs, mode, bodyBytes, plan) => {
      expect(planned(NEEDS[needs], { mode, bodyBytes, allowed: true, bufferLimitBytes: undefined })).toBe(plan);
    },
  );

  test.each<Case>([
    ["WHOLE", "NONE", undefined, "STREAMED eos <- STREAMED"],
    ["WHOLE", "STREAMED", undefined, "STREAMED eos <- STREAMED"],
    ["TAILED", "NONE", undefined, "STREAMED eos <- STREAMED"],
    ["STREAM", "STREAMED", undefined, "STREAMED eos <- STREAMED"],
    ["CHUNKS", "STREAMED", undefined, "STREAMED eos"],
    ["WHOLE", "BUFFERED", undefined, "BUFFERED message headers known"],
  ])(
    "the need %s in mode %s, for %s bytes, gives a plan without full duplex if that could hang: %s",
    (needs, mode, bodyBytes, plan) => {
      const streamed = { allowed: true, prefersStreamed: () => true };
      expect(planned(NEEDS[needs], { mode, bodyBytes, ...streamed })).toBe(plan);
    },
  );

  test.each<
    readonly [keyof typeof NEEDS, chosen: NonNullable<BodySituation["chosen"]>, bytes: number | undefined, plan: string]
  >([
    ["CHUNKS", "BUFFERED", 10, "BUFFERED message <- BUFFERED headers known"],
    ["CHUNKS", "STREAMED", undefined, "STREAMED eos <- STREAMED"],
    ["WHOLE", DUPLEX, 10, `${DUPLEX} eos <- ${DUPLEX} known`],
    ["WHOLE", "STREAMED", 10, "STREAMED count <- STREAMED known"],
    ["WHOLE", "STREAMED", undefined, "mode_override_not_allowed"],
    ["LOOKS", "NONE", 10, "mode_override_not_allowed"],
  ])("the need %s with overrideMode %s, for %s bytes, gives the plan: %s", (needs, chosen, bodyBytes, plan) => {
    expect(planned(NEEDS[needs], { mode: "BUFFERED_PARTIAL", chosen, bodyBytes, allowed: true })).toBe(plan);
  });

  test("a body is handled in a configured BUFFERED that overrideMode names, and no override is sent", () => {
    const override = () => ({ problem: "it changes nothing" });
    expect(planned(STREAM, { mode: "BUFFERED", chosen: "BUFFERED", override })).toBe("BUFFERED message headers known");
  });

  test("a body is not handled if it is required and no mode delivers it", () => {
    expect(planned({ ...LOOKS, required: true }, { mode: "NONE" })).toBe("body_required_unseen");
    expect(planned({ ...LOOKS, required: true }, { mode: "NONE", allowed: true })).toBe("STREAMED eos <- STREAMED");
  });

  test("a body is handled without an override if the headers did not come, since no answer would carry it", () => {
    const alone = { answersHeaders: false, allowed: true } as const;
    expect(planned(WHOLE, { mode: "STREAMED", ...alone })).toBe("body_end_unknowable");
    expect(planned(TAILED, { mode: "STREAMED", ...alone })).toBe("STREAMED eos");
    expect(planned(WHOLE, { mode: DUPLEX, ...alone })).toBe(`${DUPLEX} eos known`);
  });

  test("a body is handled as it comes if Envoy ignores the answers", () => {
    expect(planned(WHOLE, { mode: undefined, watched: true })).toBe("STREAMED eos headers");
    expect(planned(WHOLE, { mode: "NONE", watched: true, allowed: true })).toBe("unseen");
    expect(planned(WHOLE, { mode: DUPLEX, watched: true })).toBe(`${DUPLEX} eos headers known`);
  });

  test("a body is handled in a mode that Envoy accepts, if it does not accept the best one", () => {
    const onlyDuplex = (mode: string) =>
      (mode === DUPLEX ? { requestBody: DUPLEX } : { problem: "not in the list" }) as never;
    expect(planned(CHUNKS, { mode: "NONE", bodyBytes: 10, override: onlyDuplex })).toBe(
      `${DUPLEX} eos <- ${DUPLEX} known`,
    );
  });
});
