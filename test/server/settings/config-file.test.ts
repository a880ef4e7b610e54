import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { parseConfig, readConfigFile } from "../../../src/server/settings/config-file.ts";
import { SETTINGS } from "../../../src/server/settings/settings.ts";

function problemsOf(text: string): readonly string[] {
  const parsed = parseConfig(text, "c.yaml");
  return "problems" in parsed ? parsed.problems : [];
}

describe("a configuration file", () => {
  test("a configuration file sets the settings of flags under their names, and settings of single processors", () => {
    const text = `
listen: ":1"
drainGraceMs: 5
shadow: true
onFault: closed
envoy: &envoy
  messageTimeoutMs: 300
  allowModeOverride: true
  allowedOverrideModes:
    - { requestBodyMode: BUFFERED, responseTrailerMode: SEND }
  processingMode: { requestTrailerMode: SEND }
  mutationRules: { allowEnvoy: true }
decisionLog: { sample: 0.5, attributes: [request.id] }
http2: { maxConnectionAgeMs: 60000 }
processors:
  jwt: { onFault: closed, timeoutMs: 90 }
`;
    expect(parseConfig(text, "c.yaml")).toEqual({
      settings: {
        listen: ":1",
        drainGraceMs: 5,
        shadow: true,
        onFault: "closed",
        envoy: {
          messageTimeoutMs: 300,
          allowModeOverride: true,
          allowedOverrideModes: [{ requestBodyMode: "BUFFERED", responseTrailerMode: "SEND" }],
          processingMode: { requestTrailerMode: "SEND" },
          mutationRules: { allowEnvoy: true },
        },
        decisionLogSample: 0.5,
        decisionLogAttributes: ["request.id"],
        http2MaxConnectionAgeMs: 60_000,
      },
      processors: { jwt: { onFault: "closed", timeoutMs: 90 } },
    });
  });

  test.each(["", "# nothing\n", "---\n", "{}"])("a configuration file may be empty: %j", (text) => {
    expect(parseConfig(text, "c.yaml")).toEqual({ settings: {}, processors: {} });
  });

  test("a configuration file has every setting except the one that names the file", () => {
    for (const [name, { path, flag }] of Object.entries(SETTINGS)) {
      if (path === undefined) expect(name).toBe("config");
      // The flag differs from the place only in its spelling.
      else expect(path.join("-").replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)).toBe(flag);
    }
  });
});

describe("problems of a configuration file", () => {
  test.each([
    ["listen: 9002", 'c.yaml:1:9: listen: expected an address, such as ":9002", …, got the number 9002'],
    ["listen: nowhere", 'c.yaml:1:9: listen: expected an address, …, got the text "nowhere"'],
    [
      "envoy:\n  messageTimeoutMs: soon",
      'c.yaml:2:21: envoy.messageTimeoutMs: expected a whole number from 1…, got the text "soon"',
    ],
    ["drainGraceMs: 1.5", "c.yaml:1:15: drainGraceMs: expected a whole number from 0 to 3600000, got the number 1.5"],
    ["drainGraceMs: -1", "c.yaml:1:15: drainGraceMs: expected a whole number…, got the number -1"],
    ["drainGraceMs: .inf", "c.yaml:1:15: drainGraceMs: expected a whole number…, got the number Infinity"],
    ["onFault: close", 'c.yaml:1:10: onFault: expected one of…, got the text "close"'],
    ["shadow: yes", 'c.yaml:1:9: shadow: expected true or false, got the text "yes"'],
    ["envoy:", "c.yaml:1:7: envoy: expected a map with messageTimeoutMs…, got an empty value"],
    ["envoy: [1]", "c.yaml:1:8: envoy: expected a map with messageTimeoutMs…, got a list"],
    ["- listen", "c.yaml:1:1: the file: expected a map with listen…, got a list"],
    ["processors: [jwt]", "c.yaml:1:13: processors: expected a map with the names of processors, got a list"],
    [
      "processors:\n  jwt:\n    timeoutMs: 0",
      "c.yaml:3:16: processors.jwt.timeoutMs: expected a whole number from 1…, got the number 0",
    ],
    [
      "envoy: { processingMode: { requestTrailerMode: send } }",
      'c.yaml:1:48: envoy.processingMode.requestTrailerMode: expected one of DEFAULT, SEND, SKIP, got the text "send"',
    ],
    [
      "envoy: { allowedOverrideModes: [{ requestBodyMode: X }] }",
      'c.yaml:1:52: envoy.allowedOverrideModes.0.requestBodyMode: expected one of NONE, STREAMED, BUFFERED, BUFFERED_PARTIAL, FULL_DUPLEX_STREAMED, got the text "X"',
    ],
    [
      "envoy: { allowedOverrideModes: [{ responseBodyMode: GRPC }] }",
      'c.yaml:1:53: envoy.allowedOverrideModes.0.responseBodyMode: expected one of NONE…, got the text "GRPC"',
    ],
    [
      "envoy: { allowedOverrideModes: [{}, { body: NONE }] }",
      "c.yaml:1:39: envoy.allowedOverrideModes.1.body: no such setting; known names are requestHeaderMode, ",
    ],
    [
      "envoy: { allowedOverrideModes: [STREAMED] }",
      'c.yaml:1:33: envoy.allowedOverrideModes.0: expected a map with requestHeaderMode…, got the text "STREAMED"',
    ],
    [
      "envoy: { allowedOverrideModes: STREAMED }",
      'envoy.allowedOverrideModes: expected a list of maps with requestHeaderMode…, got the text "STREAMED"',
    ],
    ["envoy: { allowModeOverride: [{}] }", "c.yaml:1:29: envoy.allowModeOverride: expected true or false, got a list"],
    ["statusListn: off", "c.yaml:1:1: statusListn: no such setting; did you mean statusListen?"],
    [
      "envoy:\n  message_timeout: 1",
      "c.yaml:2:3: envoy.message_timeout: no such setting; did you mean messageTimeoutMs?",
    ],
    [
      "processors: { jwt: { timeout: 1 } }",
      "c.yaml:1:22: processors.jwt.timeout: no such setting; did you mean timeoutMs?",
    ],
    ["wholly: 1", "c.yaml:1:1: wholly: no such setting; known names are listen, "],
    ["config: x", "c.yaml:1:1: config: no such setting; known names are listen, "],
    ["__proto__: { shadow: true }", "c.yaml:1:1: __proto__: no such setting; known names are listen, "],
    ["<<: { shadow: true }", "c.yaml:1:1: <<: no such setting; known names are listen, "],
    ["listen: ':1'\nlisten: ':2'", "c.yaml:2:1: Map keys must be unique"],
    ["a: [1\nb: 2", "c.yaml:2:1: "],
    ["listen: *there", "c.yaml:1:9: there is no anchor &there before the alias *there"],
    ["---\nshadow: true\n---\nshadow: false", "c.yaml:3:1: expected one document, got several"],
    [`shadow: ${"x".repeat(300_000)}`, "c.yaml: expected at most 262144 characters, got 300008"],
    ["[".repeat(100_000), "c.yaml:1:1: is nested more than 32 deep"],
    ["- ".repeat(50_000), "c.yaml:1:1: is nested more than 32 deep"],
    [manyLines(10_000, (index) => `a${index}: &a${index} x`), "c.yaml:1:1: has more than 100 anchors and aliases"],
    [manyLines(10_000, (index) => `a${index}: *a`), "c.yaml:1:1: has more than 100 anchors and aliases"],
    [manyLines(20_000, (index) => `a${index}: 1`), "c.yaml:1:1: has more than 2000 entries"],
    [`[${"x,".repeat(50_000)}]`, "c.yaml:1:1: has more than 2000 entries"],
    [
      "processors: { __proto__: { timeoutMs: 1 } }",
      "c.yaml:1:15: processors.__proto__: no processor can have this name",
    ],
  ])("a problem is reported with its place, the value's kind, and a solution: case %#", (text, problem) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    // "…" stands for the rest of a list.
    for (const part of problem.split("…")) expect(problems[0]).toContain(part);
    expect(problems[0]).not.toContain("\n");
    expect(problems[0]?.length).toBeLessThan(500);
  });

  test("all problems of a configuration file are reported, in the order of the file", () => {
    expect(
      problemsOf("shadow: 1\nlisten: 1\nenvoy:\n  messageTimeoutMs: x\nx: 1\n").map((line) => line.slice(0, 12)),
    ).toEqual(["c.yaml:1:9: ", "c.yaml:2:9: ", "c.yaml:4:21:", "c.yaml:5:1: "]);
    const many = Array.from({ length: 200 }, (_, index) => `wrong${index}: 1`).join("\n");
    expect(problemsOf(many)).toHaveLength(21);
    expect(problemsOf(many).at(-1)).toBe("c.yaml: and 180 more");
  });

  test("at most 20 syntax problems of a configuration file are reported, and the number of further ones", () => {
    const problems = problemsOf(manyLines(300, (index) => `a${index}: "`));
    expect(problems).toHaveLength(21);
    expect(problems.at(-1)).toMatch(/^c\.yaml: and \d+ more$/);
    expect(problemsOf(manyLines(99, () => "- *missing"))).toHaveLength(21);
  });

  test.each([
    ["anchors", (size: number) => manyLines(size, (index) => `a${index}: &a${index} x`)],
    ["aliases", (size: number) => `a: &a x\n${manyLines(size, (index) => `b${index}: *a`)}`],
    ["stray aliases", (size: number) => manyLines(size, () => "- *missing")],
    ["names", (size: number) => manyLines(size, (index) => `a${index}: 1`)],
    ["broken strings", (size: number) => manyLines(size, (index) => `a${index}: "`)],
    ["list entries", (size: number) => `[${"x,".repeat(size * 5)}]`],
    ["flow maps", (size: number) => `[${"{a: b},".repeat(size)}]`],
  ])("the largest configuration file that has only %s is checked within two seconds", (_name, text) => {
    const startMs = performance.now();
    problemsOf(text(15_000));
    expect(performance.now() - startMs).toBeLessThan(2_000);
  });

  test("a value that breaks two rules is reported once", () => {
    expect(problemsOf("envoy: { messageTimeoutMs: 1e99 }")).toHaveLength(1);
  });

  test.each(["!!set { messageTimeoutMs }", "!!omap [ messageTimeoutMs: 300 ]", "!!timestamp 2001-01-01"])(
    "a section with a YAML tag is reported as unresolved: %s",
    (value) => {
      expect(problemsOf(`envoy: ${value}`)).toEqual([expect.stringMatching(/^c\.yaml:1:8: Unresolved tag: /)]);
    },
  );

  test("the directive %YAML 1.1 does not change the meaning of values in a configuration file", () => {
    expect(problemsOf("%YAML 1.1\n---\nshadow: yes\nenvoy: 2001-01-01")).toEqual([
      'c.yaml:3:9: shadow: expected true or false, got the text "yes"',
      expect.stringMatching(/^c\.yaml:4:8: envoy: expected a map .*, got the text "2001-01-01"/),
    ]);
  });

  test("a configuration file with a bomb of aliases is rejected", () => {
    const levels = Array.from(
      { length: 9 },
      (_, level) => `a${level}: &a${level} [${Array(9).fill(level ? `*a${level - 1}` : "x")}]`,
    );
    expect(problemsOf(levels.join("\n"))).toEqual([expect.stringMatching(/^c\.yaml:1:1: Excessive alias count/)]);
  });
});

test("a missing configuration file is a problem, and an existing one is read", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ext-proc-config-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "c.yaml");
  expect(await readConfigFile(path)).toEqual({ problems: [`${path}: cannot be read (ENOENT)`] });
  writeFileSync(path, "shadow: true");
  expect(await readConfigFile(path)).toEqual({ settings: { shadow: true }, processors: {} });
});

function manyLines(count: number, line: (index: number) => string): string {
  return Array.from({ length: count }, (_, index) => line(index)).join("\n");
}
