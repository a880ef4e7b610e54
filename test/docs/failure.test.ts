import { describe, expect, test } from "vitest";
import { withFaultOutcomes } from "../../scripts/generated/fault-tables.mjs";
import { isNamed, testNames } from "../../scripts/generated/test-names.mjs";
import { BODY_CAPS } from "../../src/memory/body-budget.ts";
import { defineProcessor } from "../../src/processor/definition.ts";
import { FAULTS } from "../../src/protocol/faults.ts";
import { CONNECTION_FAILURES } from "../../src/server/listen/listener-connections.ts";
import { parseConfig } from "../../src/server/settings/config-file.ts";
import { variableOf } from "../../src/server/settings/read-settings.ts";
import { SETTINGS } from "../../src/server/settings/settings.ts";
import { FAULT_OUTCOMES } from "../../src/session/fault-outcome.ts";
import { UNENFORCED_REASONS } from "../../src/session/session-observer.ts";
import { processAll } from "../network/grpc-js-client.ts";
import { requestHeaders } from "../network/messages.ts";
import { http2Session } from "../network/raw-grpc.ts";
import { serverForTest } from "../server/start-server.ts";
import { codeBlocks, readDocument, tableRows } from "./markdown.ts";

const document = readDocument("docs/failure.md");

/** The first cells of the table whose head begins with this cell, without their marks. */
function table(head: string): (string | undefined)[] {
  const rows = tableRows(section(head));
  return rows.map(([first]) => first?.replaceAll("`", "")).filter((cell) => cell !== head && !/^-*$/.test(cell ?? ""));
}

/** From the table's head to the next blank line. */
function section(head: string): string {
  const start = document.search(new RegExp(`^\\| ${head} +\\|`, "m"));
  expect(start, `a table with the head ${head}`).toBeGreaterThan(0);
  return document.slice(start).split("\n\n", 1)[0] ?? "";
}

/** The tests that the table of ways past a handler names: a file, and a name in which `…` stands for anything. */
const proofs = tableRows(section("way past a handler"))
  .slice(2)
  .map((cells) => ({ way: cells[0] ?? "", cited: /^\[(\S+\.test\.ts): (.+)\]$/.exec(cells.at(-1) ?? "") }));

describe("docs/failure.md", () => {
  test("every cell of the table of ways past a handler is filled", () => {
    const rows = tableRows(section("way past a handler"));
    expect(rows.length).toBeGreaterThan(7);
    expect(rows.filter((cells) => cells.length !== 7 || cells.includes(""))).toEqual([]);
  });

  test.each(proofs)("a test exists for the way past a handler: $way", ({ cited }) => {
    const [, file = "", name = ""] = cited ?? [];
    const named = testNames("test").filter((each) => each.file === file && isNamed(name, each.name));
    expect(named.length, `tests of ${file} named ${name}`).toBeGreaterThan(0);
  });

  test("the page lists the faults as npm run docs:parts writes them", () => {
    expect(document).toBe(withFaultOutcomes(document, FAULTS));
  });

  test("the page lists exactly the outcomes of faults", () => {
    expect(table("outcome")).toEqual(FAULT_OUTCOMES);
  });

  test("the page lists exactly the reasons for which something is not enforced", () => {
    expect(table("reason")).toEqual(UNENFORCED_REASONS);
  });

  test("the page lists exactly the caps of bodies", () => {
    expect(table("cap")).toEqual(BODY_CAPS);
  });

  test("the page lists exactly the failures of connections", () => {
    expect(table("failure")).toEqual(CONNECTION_FAILURES);
  });

  test("every flag that the page names exists", () => {
    const flags = Object.values(SETTINGS).map(({ flag }) => `--${flag}`);
    const named = [...document.matchAll(/`(--[a-z0-9-]+)/g)].map(([, flag]) => flag);
    expect(named.filter((flag) => !flags.includes(flag ?? ""))).toEqual([]);
    expect(named.length).toBeGreaterThan(5);
  });

  test("the page lists exactly the metrics that the server exports, with their labels", async () => {
    // A setup that fails leaves samples of those metrics that have none before something goes wrong.
    const broken = defineProcessor({ name: "broken", setup: () => Promise.reject(new Error("no keys")) });
    const { port, statusPort } = await serverForTest(broken, { decisionLog: { sample: 1 } });
    const session = http2Session(port);
    expect((await processAll(port, [requestHeaders()])).status.code).toBe(14);
    session.destroy();
    const scrape = async () => (await fetch(`http://127.0.0.1:${statusPort}/metrics`)).text();
    await expect.poll(scrape).toMatch(/^ext_proc_http2_connections_ended_total\{/m);
    const scraped = await scrape();
    const exported = [...scraped.matchAll(/^# HELP (ext_proc_\w+) /gm)].map(([, name = ""]) => name);
    const labelsOf = (name: string) => {
      const [, labels = ""] = new RegExp(`^${name}(?:\\{(.*?)\\})? `, "m").exec(scraped) ?? [];
      return [...labels.matchAll(/(\w+)="/g)].map(([, label]) => label).join(", ");
    };
    const documented = tableRows(section("metric")).slice(2);
    expect(
      documented.map(([name = "", labels = ""]) => [name, labels].map((cell) => cell.replaceAll("`", ""))),
    ).toEqual(exported.map((name) => [name, labelsOf(name)]));
  });
});

test("the configuration file in the README is right", () => {
  const file = codeBlocks(readDocument("README.md")).find(({ text }) => text.startsWith("onFault:"));
  expect(parseConfig(file?.text ?? "", "README.md")).toMatchObject({ settings: { onFault: "closed" } });
  expect(variableOf(SETTINGS.envoyMessageTimeoutMs.flag)).toBe("EXT_PROC_ENVOY_MESSAGE_TIMEOUT_MS");
});
