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
    ["listen: 9002", 'c.yaml:1:9: listen: is the number 9002, must be an address as text, such as ":9002"'],
    ["listen: nowhere", 'c.yaml:1:9: listen: is the text "nowhere", must be an address'],
    [
      "envoy:\n  messageTimeoutMs: soon",
      'c.yaml:2:21: envoy.messageTimeoutMs: is the text "soon", must be a whole number from 1',
    ],
    ["drainGraceMs: 1.5", "c.yaml:1:15: drainGraceMs: is the number 1.5, must be a whole number from 0 to 3600000"],
    ["drainGraceMs: -1", "c.yaml:1:15: drainGraceMs: is the number -1, must be a whole number"],
    ["drainGraceMs: .inf", "c.yaml:1:15: drainGraceMs: is the number Infinity, must be a whole number"],
    ["onFault: close", 'c.yaml:1:10: onFault: is the text "close", must be one of'],
    ["shadow: yes", 'c.yaml:1:9: shadow: is the text "yes", must be true or false'],
    ["envoy:", "c.yaml:1:7: envoy: is empty, must be a map with messageTimeoutMs, "],
    ["envoy: [1]", "c.yaml:1:8: envoy: is a list, must be a map with messageTimeoutMs, "],
    ["- listen", "c.yaml:1:1: the file: is a list, must be a map with listen, "],
    ["processors: [jwt]", "c.yaml:1:13: processors: is a list, must be a map with the names of processors"],
    [
      "processors:\n  jwt:\n    timeoutMs: 0",
      "c.yaml:3:16: processors.jwt.timeoutMs: is the number 0, must be a whole number from 1",
    ],
    [
      "envoy: { processingMode: { requestTrailerMode: send } }",
      'c.yaml:1:48: envoy.processingMode.requestTrailerMode: is the text "send", must be one of DEFAULT, SEND, SKIP',
    ],
    [
      "envoy: { allowedOverrideModes: [{ requestBodyMode: X }] }",
      'c.yaml:1:52: envoy.allowedOverrideModes.0.requestBodyMode: is the text "X", must be one of NONE, STREAMED, BUFFERED, BUFFERED_PARTIAL, FULL_DUPLEX_STREAMED',
    ],
    [
      "envoy: { allowedOverrideModes: [{ responseBodyMode: GRPC }] }",
      'c.yaml:1:53: envoy.allowedOverrideModes.0.responseBodyMode: is the text "GRPC", must be one of NONE, ',
    ],
    [
      "envoy: { allowedOverrideModes: [{}, { body: NONE }] }",
      "c.yaml:1:39: envoy.allowedOverrideModes.1.body: no such setting; there are requestHeaderMode, ",
    ],
    [
      "envoy: { allowedOverrideModes: [STREAMED] }",
      'c.yaml:1:33: envoy.allowedOverrideModes.0: is the text "STREAMED", must be a map with requestHeaderMode, ',
    ],
    [
      "envoy: { allowedOverrideModes: STREAMED }",
      'envoy.allowedOverrideModes: is the text "STREAMED", must be a list of maps with requestHeaderMode, ',
    ],
    ["envoy: { allowModeOverride: [{}] }", "c.yaml:1:29: envoy.allowModeOverride: is a list, must be true or false"],
    ["statusListn: off", "c.yaml:1:1: statusListn: no such setting; did you mean statusListen?"],
    [
      "envoy:\n  message_timeout: 1",
      "c.yaml:2:3: envoy.message_timeout: no such setting; did you mean messageTimeoutMs?",
    ],
    [
      "processors: { jwt: { timeout: 1 } }",
      "c.yaml:1:22: processors.jwt.timeout: no such setting; did you mean timeoutMs?",
    ],
    ["wholly: 1", "c.yaml:1:1: wholly: no such setting; there are listen, "],
    ["config: x", "c.yaml:1:1: config: no such setting; there are listen, "],
    ["__proto__: { shadow: true }", "c.yaml:1:1: __proto__: no such setting; there are listen, "],
    ["<<: { shadow: true }", "c.yaml:1:1: <<: no such setting; there are listen, "],
    ["listen: ':1'\nlisten: ':2'", "c.yaml:2:1: Map keys must be unique"],
    ["a: [1\nb: 2", "c.yaml:2:1: "],
    ["listen: *there", "c.yaml:1:9: *there refers to no &there before it"],
    ["---\nshadow: true\n---\nshadow: false", "c.yaml:3:1: holds several documents, must hold one"],
    [`shadow: ${"x".repeat(300_000)}`, "c.yaml: has 300008 characters, at most"],
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
    expect(problems[0]).toContain(problem);
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
      'c.yaml:3:9: shadow: is the text "yes", must be true or false',
      expect.stringMatching(/^c\.yaml:4:8: envoy: is the text "2001-01-01", must be a map/),
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
