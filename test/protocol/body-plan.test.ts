import { describe, expect, test } from "vitest";
import { type BodyNeeds, type BodySituation, planBody } from "../../src/protocol/body-plan.ts";

const LOOKS: BodyNeeds = { whole: false, tail: false, changes: false, required: false, unfitForGrpc: false };
const CHUNKS: BodyNeeds = { ...LOOKS, changes: true };
const TAILED: BodyNeeds = { ...CHUNKS, tail: true };
const STREAM: BodyNeeds = { ...TAILED, unfitForGrpc: true };
const WHOLE: BodyNeeds = { ...CHUNKS, whole: true, unfitForGrpc: true };
const NEEDS = { LOOKS, CHUNKS, TAILED, STREAM, WHOLE };

/** What is planned, in a few words: the mode, `<-` where it is asked for, held headers, how the end is known, or a code. */
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
    override: (requestBody) => (allowed ? { requestBody } : "nobody declared it"),
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

/** Every kind of need, in every mode, with a length and without, where no override is declared. */
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

/** The same where overrides are: what differs. */
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
  ["WHOLE", DUPLEX, undefined, `${DUPLEX} eos held headers known`],
];

describe("a body is handled", () => {
  test.each(FIXED)("%s in %s, of %s bytes, without overrides: %s", (needs, mode, bodyBytes, plan) => {
    expect(planned(NEEDS[needs], { mode, bodyBytes })).toBe(plan);
  });

  test.each(ALLOWED)("%s in %s, of %s bytes, with overrides: %s", (needs, mode, bodyBytes, plan) => {
    expect(planned(NEEDS[needs], { mode, bodyBytes, allowed: true })).toBe(plan);
  });

  test("not at all where it is required and cannot be had", () => {
    expect(planned({ ...LOOKS, required: true }, { mode: "NONE" })).toBe("body_required_unseen");
    expect(planned({ ...LOOKS, required: true }, { mode: "NONE", allowed: true })).toBe("STREAMED eos <- STREAMED");
  });

  test("without an override where the headers did not come: no answer would carry it", () => {
    const alone = { answersHeaders: false, allowed: true } as const;
    expect(planned(WHOLE, { mode: "STREAMED", ...alone })).toBe("body_end_unknowable");
    expect(planned(TAILED, { mode: "STREAMED", ...alone })).toBe("STREAMED eos");
    expect(planned(WHOLE, { mode: DUPLEX, ...alone })).toBe(`${DUPLEX} eos known`);
  });

  test("as it comes where the answers count for nothing", () => {
    expect(planned(WHOLE, { mode: undefined, watched: true })).toBe("STREAMED eos headers");
    expect(planned(WHOLE, { mode: "NONE", watched: true, allowed: true })).toBe("unseen");
    expect(planned(WHOLE, { mode: DUPLEX, watched: true })).toBe(`${DUPLEX} eos headers known`);
  });

  test("by the mode that Envoy takes, where it does not take the best", () => {
    const onlyDuplex = (mode: string) => (mode === DUPLEX ? { requestBody: DUPLEX } : "not in the list") as never;
    expect(planned(CHUNKS, { mode: "NONE", bodyBytes: 10, override: onlyDuplex })).toBe(
      `${DUPLEX} eos <- ${DUPLEX} known`,
    );
  });
});
