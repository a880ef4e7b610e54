import { defineProcessor, type Processor } from "../processor/definition.ts";
import type { EditablePhase, Effect } from "../processor/effect.ts";
import { removeHeader, setHeader } from "../processor/effects.ts";
import { FRAMING_HEADERS, refuseHeaderChange } from "../protocol/headers/header-rules.ts";
import { refuseHeaderText, textToBytes } from "../wire/header-text.ts";

/** The request header that says which headers header-modifier sets. */
export const CONTROL_HEADER = "request-header-modifier";

/**
 * Why something in the control header was ignored. The content of the header comes from the client, and is never a part
 * of this value.
 *
 * - `repeated`: the control header came more than once.
 * - `not_json`, `not_an_object`: it is not a JSON object.
 * - `too_many`: it has more than 32 pairs; Envoy would fail the whole request at 100 headers.
 * - `value_not_a_string`, `invalid_header`, `name_refused`: one pair is invalid; the other pairs are set.
 */
export type HeaderModifierProblem =
  | "repeated"
  | "not_json"
  | "not_an_object"
  | "too_many"
  | "value_not_a_string"
  | "invalid_header"
  | "name_refused";

const MAX_PAIRS = 32;

/** Names that say who a client is, where a request goes, or how it is framed. */
const REFUSED_NAMES: ReadonlySet<string> = new Set([
  ...FRAMING_HEADERS,
  CONTROL_HEADER,
  "host",
  "authorization",
  "cookie",
  "forwarded",
  "proxy-authenticate",
  "proxy-authorization",
]);
const REFUSED_PREFIXES: readonly string[] = [":", "x-forwarded-", "x-envoy-"];

/**
 * Creates a processor that reads the request header `request-header-modifier`, a JSON object, and sets its pairs as
 * request headers. It removes the control header, and refuses names that a client must not forge.
 *
 * It still lets **any client set almost any header** that the upstream may trust to come from Envoy. So it is only for
 * demonstrations, and runs only if it is named.
 *
 * @param report Called for everything that was ignored, once for each kind of problem and request.
 */
export function createHeaderModifier(report: (problem: HeaderModifierProblem) => void): Processor {
  return defineProcessor({
    name: "header-modifier",
    requestHeaders(_headers, tx) {
      const controls = tx.request.all(CONTROL_HEADER);
      const [control] = controls;
      if (control === undefined) return undefined;
      const problems = new Set<HeaderModifierProblem>();
      const effects = controls.length > 1 ? ignore("repeated", problems) : obey(control, problems);
      for (const problem of problems) report(problem);
      return [removeHeader(CONTROL_HEADER), ...effects];
    },
  });
}

function obey(control: string, problems: Set<HeaderModifierProblem>): readonly Effect<EditablePhase>[] {
  const pairs = parsePairs(control, problems);
  if (pairs.length > MAX_PAIRS) return ignore("too_many", problems);
  const effects: Effect<EditablePhase>[] = [];
  for (const [givenName, value] of pairs) {
    const name = givenName.toLowerCase();
    const problem = problemOf(name, value);
    if (problem === undefined) effects.push(setHeader(name, String(value)));
    else problems.add(problem);
  }
  return effects;
}

function parsePairs(control: string, problems: Set<HeaderModifierProblem>): readonly [string, unknown][] {
  try {
    const value: unknown = JSON.parse(control);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return Object.entries(value);
    problems.add("not_an_object");
  } catch {
    problems.add("not_json");
  }
  return [];
}

function problemOf(name: string, value: unknown): HeaderModifierProblem | undefined {
  // CGI, WSGI and similar interfaces read `x_forwarded_for` as `x-forwarded-for`.
  const readAs = name.replaceAll("_", "-");
  if (REFUSED_NAMES.has(readAs) || REFUSED_PREFIXES.some((prefix) => readAs.startsWith(prefix))) return "name_refused";
  if (typeof value !== "string") return "value_not_a_string";
  const bytes = textToBytes(value);
  const refusal =
    refuseHeaderText(value, bytes) ?? refuseHeaderChange({ op: "set", name, value: bytes }, "requestHeaders");
  return refusal === undefined ? undefined : "invalid_header";
}

function ignore(problem: HeaderModifierProblem, problems: Set<HeaderModifierProblem>): readonly [] {
  problems.add(problem);
  return [];
}
