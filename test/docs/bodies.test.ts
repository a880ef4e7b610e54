import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { MAX_CODINGS } from "../../src/bodies/coding/content-encoding.ts";
import { hello } from "../../src/builtin/hello.ts";
import * as api from "../../src/index.ts";
import { BODY_CAPS } from "../../src/memory/body-budget.ts";
import { DEFAULT_MAX_BYTES, refuseBodyHandler } from "../../src/processor/body-handler.ts";
import { MAX_STREAMED_CHUNK_BYTES } from "../../src/protocol/answers/neutral-answer.ts";
import { ENVOY_BUFFER_LIMIT_BYTES } from "../../src/protocol/envoy-declaration.ts";
import { BODY_VALIDATORS } from "../../src/protocol/exchange/body-plan.ts";
import { FAULT_CODES } from "../../src/protocol/faults.ts";
import { SETTINGS } from "../../src/server/settings/settings.ts";
import { serverForTest } from "../server/start-server.ts";
import { askedTable, HANDLERS, markdown, observedTable, possibleTable, wireTable } from "./body-tables.ts";
import { codeBlocks, readDocument, root, tableRows } from "./markdown.ts";

const FOLDER = "test/docs/bodies-page";
const document = readDocument("docs/bodies.md");
const codes = FAULT_CODES as readonly string[];

describe("docs/bodies.md", () => {
  test("the table of what each mode allows matches the code", () => {
    expect(document).toContain(`\n${markdown(possibleTable())}\n`);
  });

  test("the table of what each mode allows matches the simulated Envoy", async () => {
    const decided = possibleTable().filter(([name]) => name !== "`grpc`");
    expect(await observedTable()).toEqual(decided.map((row) => row.slice(0, -1)));
  });

  test("the table of requested modes matches the code", () => {
    expect(document).toContain(`\n${markdown(askedTable())}\n`);
  });

  test("the table of wire messages matches the simulated Envoy", async () => {
    expect(document).toContain(`\n${markdown(await wireTable())}\n`);
  });

  test("every fault code, flag and metric that the page names exists", async () => {
    const named = [...document.matchAll(/fault\s+`([a-z_]+)`/g)].map(([, code = ""]) => code);
    expect(named.length).toBeGreaterThan(8);
    expect(named.filter((code) => !codes.includes(code))).toEqual([]);
    const flags = Object.values(SETTINGS).map(({ flag }) => `--${flag}`);
    const used = [...document.matchAll(/`(--[a-z0-9-]+)/g)].map(([, flag = ""]) => flag);
    expect(used.filter((flag) => !flags.includes(flag))).toEqual([]);
    const { statusPort } = await serverForTest(hello);
    const scraped = await (await fetch(`http://127.0.0.1:${statusPort}/metrics`)).text();
    for (const [, metric] of document.matchAll(/`(ext_proc_\w+)`/g)) expect(scraped).toContain(`# HELP ${metric} `);
  });

  test("the page states the defaults and limits of the code", () => {
    expect(DEFAULT_MAX_BYTES).toBe(4 << 20);
    expect([SETTINGS.maxHeldBodyBytes.fallback, SETTINGS.maxHeldBodyBytesPerStream.fallback]).toEqual([
      String(128 << 20),
      String(48 << 20),
    ]);
    expect([SETTINGS.maxMessageBytes.fallback, ENVOY_BUFFER_LIMIT_BYTES]).toEqual([String(4 << 20), 1 << 20]);
    expect([MAX_STREAMED_CHUNK_BYTES, MAX_CODINGS, BODY_CAPS.length]).toEqual([64 << 10, 4, 4]);
    for (const name of BODY_VALIDATORS) expect(document).toContain(`\`${name}\``);
  });

  test("the page lists exactly the options of body handlers", () => {
    const problem = refuseBodyHandler({ read: "whole", nothing: 1 }) ?? "";
    const [, options = ""] = /which has read, handle, (.*)$/.exec(problem) ?? [];
    const start = document.indexOf("| option ");
    const rows = tableRows(document.slice(start).split("\n\n", 1)[0] ?? "").slice(2);
    expect(rows.map(([option]) => option?.replaceAll("`", ""))).toEqual(options.split(", "));
  });

  test("the page names every kind of handler, and only tools that the package exports", () => {
    for (const kind of ["whole", "text", "json", "chunks", "stream", "inspect"]) {
      expect(document).toContain(`\`read: "${kind}"\``);
      expect(Object.keys(HANDLERS).join()).toContain(`\`${kind}\``);
    }
    const start = document.indexOf("| in a loop ");
    const rows = tableRows(document.slice(start).split("\n\n", 1)[0] ?? "").slice(2);
    const tools = rows.flatMap(([loop = "", pushed = ""]) => [loop, pushed]).map((name) => name.replaceAll("`", ""));
    expect(tools.length).toBe(10);
    expect(Object.keys(api)).toEqual(expect.arrayContaining(tools));
  });

  test("the page links to every example that handles bodies", () => {
    const examples = readdirSync(join(root, "examples"), { withFileTypes: true }).filter((one) => one.isDirectory());
    const withBodies = examples.filter(({ name }) =>
      /(?:requestBody|responseBody|grpc): \{/.test(readDocument(`examples/${name}/processor.js`)),
    );
    expect(withBodies.length).toBeGreaterThan(8);
    for (const { name } of withBodies) expect(document).toContain(`](../examples/${name}/README.md)`);
  });

  test("the page shows every file of test/docs/bodies-page as the tests run it", () => {
    const blocks = codeBlocks(document).filter(({ language }) => /^(?:js|ts)$/.test(language));
    const files = readdirSync(join(root, FOLDER)).map((file) => readDocument(`${FOLDER}/${file}`));
    expect(blocks.map(({ text }) => text).sort()).toEqual(files.sort());
  });
});
