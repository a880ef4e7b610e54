import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { fixture } from "../fixtures/fixture.ts";
import { runBinary, spawnBinary } from "../server/spawn-binary.ts";

const folder = mkdtempSync(join(tmpdir(), "ext-proc-check-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe("ext-proc check", () => {
  test("check prints for each processor how it would run", async () => {
    const config = file("good.yaml", "envoy: { messageTimeoutMs: 300, maxMessageTimeoutMs: 2000 }\nonFault: envoy\n");
    const args = ["check", "hello", fixture("gatekeeper.js"), "--config", config];
    expect(await runBinary(args)).toMatchObject({
      code: 0,
      stderr: "",
      stdout: [
        `${config}: no problems`,
        "processor hello",
        "  phases: requestHeaders, responseHeaders",
        "  onFault: envoy",
        "  timeoutMs: 150",
        "processor gatekeeper",
        "  phases: requestHeaders",
        "  onFault: closed",
        "  timeoutMs: 1000, asks Envoy for more time after 250 ms",
        "  life cycle: setup",
        "Envoy's filter needs",
        "  processing_mode:",
        "    request_header_mode: SEND  # hello.requestHeaders; gatekeeper.requestHeaders",
        "    response_header_mode: SEND  # hello.responseHeaders",
        "    request_body_mode: NONE  # no handler needs it",
        "    response_body_mode: NONE  # no handler needs it",
        "    request_trailer_mode: SKIP  # no handler needs them",
        "    response_trailer_mode: SKIP  # no handler needs them",
        "  message_timeout: 1.05s  # gatekeeper: timeoutMs is 1000; or set max_message_timeout to as much",
        "  disable_immediate_response: false  # gatekeeper: onFault closed answers the client",
        "",
      ].join("\n"),
    });
  });

  test("check accepts every field of mutation_rules, and names the body handlers whose length they protect", async () => {
    const config = file(
      "rules.yaml",
      "envoy: { mutationRules: { disallowAll: true, disallowSystem: true, allowExpression: 'x-.*', disallowIsError: true } }\n",
    );
    const flags = ["--config", config, "--envoy-mutation-rules-disallow-expression", "x-internal-.*"];
    const { code, stdout } = await runBinary(["check", fixture("body-reader.js"), ...flags]);
    expect(code).toBe(0);
    expect(stdout).toContain(
      'warning: processor "body-reader": its requestBody cannot change the length of a body in BUFFERED. Envoy refuses ' +
        'changes of header "content-length": its mutation_rules have disallow_all',
    );
  });

  test("check rejects an expression that RE2 does not accept, in a flag, a variable and the file", async () => {
    const problem = '"(" is not an RE2 expression: error parsing regexp: missing closing ): `(`';
    const flag = ["check", "hello", "--envoy-mutation-rules-allow-expression", "("];
    expect(await runBinary(flag)).toMatchObject({ code: 2, stderr: expect.stringContaining(problem) });
    const variable = { EXT_PROC_ENVOY_MUTATION_RULES_DISALLOW_EXPRESSION: "(" };
    expect(await runBinary(["check", "hello"], { env: variable })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(problem),
    });
    const config = file("bad-rules.yaml", "envoy: { mutationRules: { allowExpression: '(' } }\n");
    const { code, stdout, stderr } = await runBinary(["check", "hello", "--config", config]);
    expect(code).toBe(1);
    expect(stdout + stderr).toContain(
      'envoy.mutationRules.allowExpression: expected an RE2 expression, such as "x-internal-.*", got the text "("',
    );
  });

  test("check prints the processing mode that bodies need, and why", async () => {
    const flags = ["--envoy-buffer-limit-bytes", "4194304", "--max-held-body-bytes-per-stream", "1024"];
    const { code, stdout } = await runBinary(["check", fixture("body-reader.js"), ...flags]);
    expect(code).toBe(0);
    for (const line of [
      "  requestBody: json, only if when returns true, at most 2097152 bytes, a larger body is rejected",
      "    request_body_mode: BUFFERED  # body-reader.requestBody (json) waits for the whole body",
      "    response_body_mode: STREAMED  # body-reader.responseBody (inspect) takes it in pieces",
      expect.stringMatching(/^ {2}allow_mode_override: true {2}# optional; body-reader\.requestBody/),
      expect.stringMatching(/^ {2}per_connection_buffer_limit_bytes: 2097152 /),
      "warning: body-reader.requestBody: maxBytes 2097152 is above --max-held-body-bytes-per-stream 1024",
      expect.stringMatching(/^warning: --max-message-bytes 4194304 must be larger than --envoy-buffer-limit-bytes/),
    ])
      expect(stdout.split("\n")).toContainEqual(line);
  });

  test("check prints the same as JSON", async () => {
    const { code, stdout } = await runBinary(["check", fixture("body-reader.js"), "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      name: "body-reader",
      parts: [{ name: "body-reader", phases: ["requestBody", "responseBody"] }],
      processingMode: expect.arrayContaining([
        expect.objectContaining({ field: "response_body_mode", mode: "STREAMED" }),
      ]),
      warnings: expect.arrayContaining([expect.stringContaining("without required")]),
    });
  });

  test("check warns of effects that Envoy, as declared, will ignore", async () => {
    const flags = ["--envoy-disable-immediate-response", "--envoy-failure-mode-allow", "--on-fault", "closed"];
    const config = file("loose.yaml", "processors: { gatekeeper: { onFault: open } }\n");
    const { code, stdout } = await runBinary(["check", fixture("gatekeeper.js"), "--config", config, ...flags]);
    expect(code).toBe(0);
    expect(stdout.split("\n").filter((line) => line.startsWith("warning: "))).toEqual([
      expect.stringMatching(/timeoutMs of 1000 is cut to 150: .*messageTimeoutMs 200, maxMessageTimeoutMs 0/),
      expect.stringMatching(/onFault stays "closed": "open" is looser/),
      expect.stringMatching(/onFault "closed" can only be a gRPC error .*failureModeAllow lets the request pass/),
    ]);
  });

  test.each([
    [
      "a bad file",
      () => ["--config", file("bad.yaml", "shadow: maybe\nonfault: open\n")],
      1,
      /bad\.yaml:1:9: shadow: .*\n.*bad\.yaml:2:1: onfault: no such setting; did you mean onFault\?/,
    ],
    [
      "a file that is not there",
      () => ["--config", join(folder, "none.yaml")],
      1,
      /none\.yaml: cannot be read \(ENOENT\)/,
    ],
    ["a processor that does not load", () => [fixture("misdefined.js")], 1, /cannot be loaded/],
    [
      "a processor that is not served",
      () => ["--config", file("p.yaml", "processors: { helo: { timeoutMs: 5 } }")],
      1,
      /processors\.helo: no processor with this name is served; did you mean hello\?/,
    ],
    ["a bad flag", () => ["--on-fault", "never"], 2, /--on-fault: expected one of envoy, open, closed, got "never"/],
    ["an unknown flag", () => ["--nothing"], 2, /--nothing/],
    ["an unknown processor", () => ["nothing"], 2, /nothing: no such processor/],
    ["a server that listens nowhere", () => ["--listen", "off"], 2, /--listen: the main listener cannot be "off"/],
    ["an admin listener without a token", () => ["--admin-listen", ":9004"], 2, /it needs --admin-token-file/],
    [
      "a token that is not there",
      () => ["--admin-token-file", join(folder, "none")],
      1,
      /--admin-token-file: .*none cannot be read \(ENOENT\)/,
    ],
    ["a certificate without its key", () => ["--tls-cert", "cert.pem"], 2, /--tls-cert needs --tls-key/],
    [
      "a certificate that is not there",
      () => ["--tls-cert", join(folder, "none"), "--tls-key", join(folder, "none")],
      1,
      /--tls-cert: .*none cannot be read \(ENOENT\)/,
    ],
  ] as const)("check rejects %s", async (_what, args, code, message) => {
    const ended = await runBinary(["check", ...args()]);
    expect([ended.code, ended.stdout]).toEqual([code, ""]);
    expect(ended.stderr).toMatch(message);
    for (const line of ended.stderr.trimEnd().split("\n")) expect(line).toMatch(/^ext-proc: /);
  });
});

describe("ext-proc serve --config", () => {
  test("serve starts with the file's settings, and flags and environment override them", async () => {
    const config = file(
      "serve.yaml",
      'listen: "127.0.0.1:0"\nstatusListen: "127.0.0.1:0"\nadminListen: ":1"\ndebug: on\nshadow: true\n',
    );
    const env = { EXT_PROC_CONFIG: config, EXT_PROC_DEBUG: "off" };
    const binary = spawnBinary(["serve", "--admin-listen", "off"], { env });
    expect(await binary.logged("Starting gRPC server")).toMatchObject({ debug: "off" });
    const { status, admin } = await binary.otherPorts();
    expect(await (await fetch(`http://127.0.0.1:${status}/metrics`)).text()).toContain("ext_proc_shadow 1");
    expect(admin).toBeNaN();
    binary.kill("SIGTERM");
    expect(await binary.ended).toMatchObject({ code: 0, stderr: "" });
  });

  test("serve does not start with a bad file", async () => {
    const config = file("bad-serve.yaml", "listen: 9002\n");
    const { code, stdout, stderr } = await runBinary(["serve", "--config", config]);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^ext-proc: .*bad-serve\.yaml:1:9: listen: expected an address, .*, got the number 9002/);
  });
});

describe("ext-proc check --try", () => {
  test("check --try says that plain exchanges pass through a correct processor, and nothing else", async () => {
    const { code, stdout, stderr } = await runBinary(["check", "hello", "--try"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.split("\n").slice(-4)).toEqual([
      "tried GET /: status 200",
      "tried POST / with JSON: status 200",
      "tried POST / with JSON and trailers: status 200",
      "",
    ]);
  });

  test("check --try warns of an effect that no handler returned, with its place in the code, and exits with 1", async () => {
    const { code, stdout } = await runBinary(["check", fixture("careless.js"), "--try"]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^ {2}warning effect_not_returned: .*immediateResponse\(\).*careless\.js:6/m);
  });

  test("check --try prints the fault of a handler and the thrown value, and exits with 1", async () => {
    const { code, stdout } = await runBinary(["check", fixture("thrower.js"), "--try"]);
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^tried GET \/: status 500\n {2}fault handler_threw: .*"thrower", requestHeaders: .*always$/m,
    );
  });

  test.each([[[]], [["--envoy-allow-mode-override"]]])(
    "check --try gives body handlers the body, in the mode that check asks for (%j)",
    async (flags) => {
      const { code, stdout } = await runBinary(["check", fixture("body-reader.js"), "--try", ...flags]);
      expect({ code, tried: stdout.match(/^tried .*$/gm) }).toMatchObject({ code: 0, tried: { length: 3 } });
    },
  );

  test("check calls handlers of every phase with --try, and no handler without it", async () => {
    const marks = join(folder, "marks");
    const handlers = ["requestHeaders", "requestTrailers", "responseHeaders", "responseTrailers"];
    const bodies = ["requestBody", "responseBody"];
    const source = [
      'import { appendFileSync } from "node:fs";',
      `import { defineProcessor } from ${JSON.stringify(import.meta.resolve("../../dist/index.js"))};`,
      `const mark = (phase) => appendFileSync(${JSON.stringify(marks)}, phase + "\\n");`,
      'export default defineProcessor({ name: "marker",',
      ...handlers.map((phase) => `  ${phase}() { mark("${phase}"); },`),
      ...bodies.map((phase) => `  ${phase}: { read: "text", handle() { mark("${phase}"); } },`),
      '  setup() { mark("setup"); }, close() { mark("close"); } });',
    ].join("\n");
    const module = file("marker.mjs", source);
    writeFileSync(marks, "");
    expect((await runBinary(["check", module])).code).toBe(0);
    expect(readFileSync(marks, "utf8")).toBe("");
    expect((await runBinary(["check", module, "--try"])).code).toBe(0);
    const called = readFileSync(marks, "utf8").trim().split("\n");
    expect(new Set(called)).toEqual(new Set([...handlers, ...bodies, "setup", "close"]));
    expect([called.at(0), called.at(-1)]).toEqual(["setup", "close"]);
  });

  test("check --try has the same results in its JSON", async () => {
    const { code, stdout } = await runBinary(["check", fixture("careless.js"), "--try", "--json"]);
    expect(code).toBe(1);
    expect(JSON.parse(stdout).tried).toMatchObject([
      { exchange: "GET /", status: 200, faults: [], warnings: [{ code: "effect_not_returned" }] },
      { exchange: "POST / with JSON" },
      { exchange: "POST / with JSON and trailers" },
    ]);
    expect(JSON.parse((await runBinary(["check", "hello", "--json"])).stdout)).not.toHaveProperty("tried");
  });
});
