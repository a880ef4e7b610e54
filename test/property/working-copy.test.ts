import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  type HeaderMutation,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { compose, defineProcessor } from "../../src/processor/definition.ts";
import type { EditablePhase, Effect } from "../../src/processor/effect.ts";
import {
  addHeaderIfAbsent,
  appendHeader,
  overwriteHeaderIfExists,
  removeHeader,
  setHeader,
} from "../../src/processor/effects.ts";
import { headerEntries } from "../../src/protocol/headers/headers.ts";
import { headersOf, trailersOf } from "../protocol/messages.ts";
import { recordSession } from "../session/recorded-session.ts";
import { bounded, fc } from "./seed.ts";

type Header = readonly [name: string, value: string];
type Step = readonly [kind: "set" | "append" | "add" | "overwrite" | "remove", name: string, value: string];

const nameArbitrary = fc.constantFrom("x-a", "x-b", "set-cookie", "x-c");
const valueArbitrary = fc.constantFrom("", "1", "2", "3");
const headersArbitrary = fc.array(fc.tuple(nameArbitrary, valueArbitrary), { maxLength: 6 });
const stepArbitrary: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom("set", "append", "add", "overwrite", "remove"),
  nameArbitrary,
  valueArbitrary,
);
/** The effects of each of up to three processors. */
const stepsArbitrary = fc.array(fc.array(stepArbitrary, { maxLength: 5 }), { minLength: 1, maxLength: 3 });
const phaseArbitrary = fc.constantFrom<EditablePhase>(
  "requestHeaders",
  "responseHeaders",
  "requestTrailers",
  "responseTrailers",
);

const MAKERS = {
  set: setHeader,
  append: appendHeader,
  add: addHeaderIfAbsent,
  overwrite: overwriteHeaderIfExists,
  remove: removeHeader,
};

const without = (headers: readonly Header[], name: string) => headers.filter(([key]) => key !== name);

/** The intended result of the effects: one after the other. */
function applyStep(now: readonly Header[], [kind, name, value]: Step): readonly Header[] {
  const isThere = now.some(([key]) => key === name);
  if (kind === "remove") return without(now, name);
  if ((kind === "add" && isThere) || (kind === "overwrite" && !isThere)) return now;
  return [...(kind === "append" ? now : without(now, name)), [name, value]];
}

/** Envoy's result of a mutation: all removals, then the sets in order. */
function applyMutation(now: readonly Header[], mutation: HeaderMutation | undefined): readonly Header[] {
  const removed = (mutation?.removeHeaders ?? []).reduce<readonly Header[]>(without, now);
  return (mutation?.setHeaders ?? []).reduce<readonly Header[]>((kept, { header, append }) => {
    const name = header?.key ?? "";
    return [...(append === true ? kept : without(kept, name)), [name, new TextDecoder().decode(header?.rawValue)]];
  }, removed);
}

/** The order matters within a name, not between names (RFC 9110 5.3). */
function byName(headers: readonly Header[]): ReadonlyMap<string, readonly string[]> {
  const grouped = new Map<string, string[]>();
  for (const [name, value] of headers) grouped.set(name, [...(grouped.get(name) ?? []), value]);
  return new Map([...grouped].sort(([a], [b]) => a.localeCompare(b)));
}

function mutationOf(answer: ProcessingResponse | undefined): HeaderMutation | undefined {
  const { response } = answer ? overTheWire(answer) : {};
  switch (response?.case) {
    case "requestHeaders":
    case "responseHeaders":
      return response.value.response?.headerMutation;
    case "requestTrailers":
    case "responseTrailers":
      return response.value.headerMutation;
    default:
      throw new Error(`member ${response?.case}`);
  }
}

function overTheWire(response: ProcessingResponse): ProcessingResponse {
  return fromBinary(ProcessingResponseSchema, toBinary(ProcessingResponseSchema, response));
}

/** Runs the processors. Gives the one answer, and what each of them saw in its message. */
function run(phase: EditablePhase, headers: readonly Header[], steps: readonly (readonly Step[])[]) {
  const seen: (readonly Header[])[] = [];
  const parts = steps.map((own, index) =>
    defineProcessor({
      name: `p${index}`,
      [phase]: (message: Parameters<typeof headerEntries>[0]): Effect<EditablePhase>[] => {
        seen.push(headerEntries(message).map(({ key, rawValue }) => [key, new TextDecoder().decode(rawValue)]));
        return own.map(([kind, name, value]) => MAKERS[kind](name, value));
      },
    }),
  );
  const recorded = recordSession(compose(...parts));
  const isTrailers = phase === "requestTrailers" || phase === "responseTrailers";
  recorded.receive(isTrailers ? trailersOf(phase, headers) : headersOf(phase, headers));
  return { answer: recorded.answers[0], seen };
}

describe("effects of composed processors", () => {
  test("effects of composed processors, conditional ones too, have the same result in Envoy as one after the other", () => {
    fc.assert(
      fc.property(phaseArbitrary, headersArbitrary, stepsArbitrary, (phase, headers, steps) => {
        const order = phase.startsWith("response") ? [...steps].reverse() : steps;
        const meant = order.flat().reduce(applyStep, headers);
        expect(byName(applyMutation(headers, mutationOf(run(phase, headers, steps).answer)))).toEqual(byName(meant));
      }),
      bounded(1_000),
    );
  });

  test("effects of composed processors are seen by each processor as those before it left them", () => {
    fc.assert(
      fc.property(phaseArbitrary, headersArbitrary, stepsArbitrary, (phase, headers, steps) => {
        const order = phase.startsWith("response") ? [...steps].reverse() : steps;
        const { seen } = run(phase, headers, steps);
        let now: readonly Header[] = headers;
        order.forEach((own, index) => {
          expect(byName(seen[index] ?? [])).toEqual(byName(now));
          now = own.reduce(applyStep, now);
        });
      }),
      bounded(500),
    );
  });
});
