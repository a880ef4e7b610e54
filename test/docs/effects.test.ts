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

const SHORT: Readonly<Record<string, string>> = {
  requestHeaders: "qH",
  requestBody: "qB",
  requestBodyEnd: "qE",
  requestTrailers: "qT",
  responseHeaders: "sH",
  responseBody: "sB",
  responseBodyEnd: "sE",
  responseTrailers: "sT",
  inspectEnd: "iE",
};

describe("docs/effects.md", () => {
  test("has a row for each effect, in the code's order, with its phases", () => {
    const phasesOf = (kind: EffectKind) => EFFECT_PHASES[kind].map((phase) => SHORT[phase]).sort();
    expect(rows.map(([effect, phases]) => [effect, phases?.split(" ").sort()])).toEqual(
      kinds.map((kind) => [`\`${kind}\``, phasesOf(kind)]),
    );
  });

  test("names every phase that it shortens", () => {
    for (const [phase, short] of Object.entries(SHORT)) {
      expect(document.replaceAll(/\s+/g, " ")).toContain(`**${short}** \`${phase}\``);
    }
  });

  test("names every framing header, and fault codes that there are", () => {
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
