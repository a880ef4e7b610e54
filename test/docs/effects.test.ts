import { describe, expect, test } from "vitest";
import * as api from "../../src/index.ts";
import { EFFECT_PHASES, type EffectKind } from "../../src/processor/effect.ts";
import * as effects from "../../src/processor/effects.ts";
import { FAULT_CODES } from "../../src/protocol/faults.ts";
import { FRAMING_HEADERS } from "../../src/protocol/headers/header-rules.ts";
import { readDocument, tableRows } from "./markdown.ts";

const document = readDocument("docs/effects.md");
const rows = tableRows(document).filter(([first]) => first?.startsWith("`"));
const kinds = Object.keys(EFFECT_PHASES) as EffectKind[];

/** The phases of handlers that get a message, a whole body or whole messages, as the page calls them. */
const WORDS: Readonly<Record<string, string>> = {
  requestHeaders: "request headers",
  requestBody: "request body",
  requestTrailers: "request trailers",
  responseHeaders: "response headers",
  responseBody: "response body",
  responseTrailers: "response trailers",
};

function phasesCell(kind: EffectKind): string {
  const phases: readonly string[] = EFFECT_PHASES[kind];
  const named = Object.keys(WORDS).filter((phase) => phases.includes(phase));
  const cell = named.length === Object.keys(WORDS).length ? ["every phase"] : named.map((phase) => WORDS[phase]);
  const ends = ["requestBodyEnd", "responseBodyEnd"].filter((phase) => phases.includes(phase));
  if (ends.length === 2) cell.push(phases.includes("inspectEnd") ? "body end" : "body end except `inspect`");
  expect(named.length + ends.length + Number(phases.includes("inspectEnd"))).toBe(phases.length);
  return cell.join(", ");
}

describe("docs/effects.md", () => {
  test("the table has a row for each effect, in the code's order, with its phases", () => {
    expect(rows.map(([effect, phases]) => [effect, phases])).toEqual(
      kinds.map((kind) => [`\`${kind}\``, phasesCell(kind)]),
    );
  });

  test("the page explains the words in its column of phases", () => {
    for (const phase of Object.keys(WORDS)) expect(document).toContain(`\`${phase}\``);
    for (const words of ["every phase", "request headers", "response body", "body end"])
      expect(document).toContain(`**${words}**`);
  });

  test("the page names every framing header, and only fault codes that exist", () => {
    for (const name of FRAMING_HEADERS) expect(document).toContain(`\`${name}\``);
    const named = [...document.matchAll(/fault\s+`(\w+)`/g)].map(([, code]) => code);
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((code) => !FAULT_CODES.some((known) => known === code))).toEqual([]);
  });
});

test("every effect has a function of its name, which the package exports", () => {
  expect(Object.keys(effects).sort()).toEqual([...kinds].sort());
  expect(Object.keys(api)).toEqual(expect.arrayContaining(kinds));
});
