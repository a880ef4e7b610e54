import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { ProcessingResponseSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { hello } from "../../src/builtin/hello.ts";
import { fixture } from "../fixtures/fixture.ts";
import { frame } from "../network/raw-grpc.ts";
import { type BinaryEnd, runBinary } from "../server/spawn-binary.ts";
import { serverForTest } from "../server/start-server.ts";

const folder = mkdtempSync(join(tmpdir(), "ext-proc-debug-commands-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** One line on standard error, and nothing else. */
function expectOneLine({ code, stderr, stdout }: BinaryEnd, exitCode: number, message: RegExp): void {
  expect({ code, stdout, lines: stderr.split("\n").length - 1 }).toEqual({ code: exitCode, stdout: "", lines: 1 });
  expect(stderr).toMatch(message);
}

describe("ext-proc simulate", () => {
  test("simulate prints what changed, without colours if the output is not a terminal", async () => {
    const flags = ["-X", "POST", "/orders", "-H", "X-Gone: 1", "-H", "accept: */*", "-d", "two\napples"];
    const { code, stdout } = await runBinary([
      "simulate",
      fixture("marking.js"),
      ...flags,
      "--mode",
      "request-body=buffered",
    ]);
    expect(code).toBe(0);
    expect(stdout.replace(/[\d.]+ ms/, "N ms").split("\n")).toEqual([
      "The upstream got POST /orders",
      "  - x-gone: 1",
      "    accept: */*",
      "  + x-marked: request",
      "  + x-old: 3",
      "  + content-length: 10",
      "  - | two",
      "  - | apples",
      "  + | TWO",
      "  + | APPLES",
      "The client got 200",
      "  + x-marked: response",
      "  + set-cookie: c=3",
      "  + content-length: 0",
      "6 messages, N ms in handlers",
      "",
    ]);
  });

  test("simulate reads an exchange from YAML, lets flags override it, and prints JSON", async () => {
    const text = "request: { path: /a, method: PUT, headers: { x-old: [one, two] } }\nupstream: { status: 404 }\n";
    const path = file("exchange.yaml", text);
    const { code, stdout } = await runBinary([
      "simulate",
      "hello",
      "--file",
      path,
      "/b",
      "--upstream-status",
      "503",
      "--json",
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      upstreamRequest: {
        method: "PUT",
        path: "/b",
        headers: { "x-old": ["one", "two"], "x-ext-proc-header": "hello-to-asm" },
      },
      clientResponse: { status: 503, headers: { "x-ext-proc-header": "hello-from-asm" } },
    });
  });

  test("simulate shows the fault of a processor, and ends with exit code 1", async () => {
    const { code, stdout } = await runBinary(["simulate", fixture("thrower.js"), "/"]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^The upstream was not asked\nThe client got 500/);
    expect(stdout).toMatch(/^Fault handler_threw: .*the handler threw: Error: always$/m);
  });

  test("simulate says why a setup failed", async () => {
    const { code, stdout } = await runBinary(["simulate", fixture("unready.js"), "/"]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^Fault not_ready: processor "keys": its setup is not done: no keys$/m);
  });

  test("simulate prints no details after the status of a processor's own answer", async () => {
    const { code, stdout } = await runBinary(["simulate", fixture("denying.js"), "/"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^The client got 401$/m);
  });

  const big = () => file("big.json", `{"request":{"body":"${"x".repeat(10 << 20)}"}}`);
  const deep = () => file("deep.json", `{"config":${"[".repeat(200_000)}${"]".repeat(200_000)}}`);
  test.each<[string, () => string[], number, RegExp]>([
    [
      "an unknown mode",
      () => ["--mode", "request-body=some"],
      2,
      /^ext-proc: --mode: request-body=some: "some" is not one of none, streamed, /,
    ],
    [
      "an unknown kind of mode",
      () => ["--mode", "body=none"],
      2,
      /^ext-proc: --mode: "body" is not one of request-headers, /,
    ],
    ["a header without a colon", () => ["-H", "x"], 2, /^ext-proc: --header: "x" is not a header/],
    ["two paths", () => ["/a", "/b"], 2, /^ext-proc: \/a and \/b are both paths/],
    ["an unknown flag", () => ["--mood", "x"], 2, /^ext-proc: Unknown option '--mood'/],
    ["a status", () => ["--upstream-status", "99"], 2, /^ext-proc: --upstream-status: "99" is not a status/],
    [
      "a release",
      () => ["--envoy-version", "1.2"],
      2,
      /^ext-proc: the exchange: envoy.envoyVersion: "1.2" must be one of/,
    ],
    ["a missing file", () => ["--file", "/nope.json"], 1, /^ext-proc: --file: \/nope.json cannot be read \(ENOENT\)$/m],
    ["a missing body", () => ["-d", "@/nope"], 1, /^ext-proc: --data: \/nope cannot be read/],
    [
      "a bad field",
      () => ["--file", file("bad.json", '{"request":{"paht":1}}')],
      1,
      /bad\.json: request\.paht: no such field/,
    ],
    ["no JSON", () => ["--file", file("no.json", "{nope")], 1, /no\.json: is not JSON: /],
    ["no YAML", () => ["--file", file("no.yaml", "a: [")], 1, /no\.yaml: is not YAML: /],
    ["a list", () => ["--file", file("list.json", "[]")], 1, /list\.json: expected an object, got an array/],
    ["10 MiB", () => ["--file", big()], 1, /big\.json is larger than the limit of 8388608 bytes/],
    ["deep nesting", () => ["--file", deep()], 1, /deep\.json: config: .*depth/],
  ])("simulate says in one line what is wrong with %s", async (_name, args, exitCode, message) => {
    expectOneLine(await runBinary(["simulate", "hello", ...args()]), exitCode, message);
  });

  test("simulate has help with examples", async () => {
    const { code, stdout } = await runBinary(["simulate", "--help"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Examples:\n {2}ext-proc simulate hello \/headers$/m);
  });
});

describe("ext-proc call", () => {
  const MESSAGES = '[{"requestHeaders":{"headers":{"headers":[{"key":":path","value":"/"}]}}},{"response_headers":{}}]';
  const messages = file("messages.json", MESSAGES);

  test("call prints one line for each answer, saves the answers, and accepts them as expected", async () => {
    const { port } = await serverForTest(hello);
    const saved = join(folder, "answers.json");
    const first = await runBinary(["call", `127.0.0.1:${port}`, messages, "--save", saved]);
    expect(first).toMatchObject({ code: 0, stderr: "" });
    const lines = first.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map((answer) => Object.keys(answer))).toEqual([["requestHeaders"], ["responseHeaders"]]);
    expect(first.stdout).toContain('"key":"x-ext-proc-header","value":"hello-to-asm"');
    const same = await runBinary(["call", `127.0.0.1:${port}`, messages, "--expect", saved, "--no-wait"]);
    expect(same).toMatchObject({ code: 0, stderr: "" });
    writeFileSync(saved, readFileSync(saved, "utf8").replace("OVERWRITE_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT"));
    const other = await runBinary(["call", `127.0.0.1:${port}`, messages, "--expect", saved]);
    expect(other.code).toBe(1);
    expect(other.stderr).toMatch(/^- .*"ADD_IF_ABSENT"$\n^\+ .*"OVERWRITE_IF_EXISTS_OR_ADD"$/m);
  });

  test("call ends with one line if the server fails a message", async () => {
    const { port } = await serverForTest(hello);
    const path = file("order.json", '[{"requestHeaders":{}},{"requestBody":{}},{"requestHeaders":{}}]');
    const { code, stderr } = await runBinary(["call", `127.0.0.1:${port}`, path]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/ended the stream with INVALID_ARGUMENT: phase_out_of_order: [^\n]*\n$/);
  });

  test("call stops waiting for a server that never answers", async () => {
    const silent = createServer((socket) => void socket.on("error", () => undefined).resume());
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void silent.close());
    const address = silent.address();
    const port = typeof address === "object" ? address?.port : 0;
    const end = await runBinary(["call", `127.0.0.1:${port}`, messages, "--timeout-ms", "300"]);
    expectOneLine(end, 1, /: no answer to message 1 \(requestHeaders\) within 300 ms$/m);
  });

  test.each<[string, () => string[], number, RegExp]>([
    [
      "a server that is not there",
      () => ["127.0.0.1:1", messages],
      1,
      /^ext-proc: 127\.0\.0\.1:1: cannot be reached: .*ECONNREFUSED/,
    ],
    [
      "a name with two addresses without a server",
      () => ["localhost:1", messages],
      1,
      /^ext-proc: localhost:1: cannot be reached: connect ECONNREFUSED /,
    ],
    [
      "a target that is not a server",
      () => ["nowhere", messages],
      2,
      /^ext-proc: nowhere: is not a server; write HOST:PORT/,
    ],
    ["no file", () => ["127.0.0.1:1"], 2, /^ext-proc: call needs a server and a file/],
    [
      "a missing file",
      () => ["127.0.0.1:1", "/nope.json"],
      1,
      /^ext-proc: messages: \/nope\.json cannot be read \(ENOENT\)/,
    ],
    [
      "no list",
      () => ["127.0.0.1:1", file("object.json", "{}")],
      1,
      /object\.json: expected a list of ProcessingRequests/,
    ],
    [
      "a bad message",
      () => ["127.0.0.1:1", file("typo.json", '{"requests":[{"requestHeeders":{}}]}')],
      1,
      /typo\.json: requests\[0\]\.requestHeeders: no such field/,
    ],
    [
      "a bad answer",
      () => ["127.0.0.1:1", messages, "--expect", file("answer.json", '{"responses":[{"requestHeeders":{}}]}')],
      1,
      /answer\.json: responses\[0\]\.requestHeeders: no such field/,
    ],
    [
      "an answer that is a text",
      () => ["127.0.0.1:1", messages, "--expect", file("text.json", '["requestHeaders"]')],
      1,
      /text\.json: \[0\]: expected an object, got a string/,
    ],
    [
      "a bad time",
      () => ["127.0.0.1:1", messages, "--timeout-ms", "soon"],
      2,
      /^ext-proc: --timeout-ms: "soon" is not a whole number/,
    ],
    ["a bad header", () => ["127.0.0.1:1", messages, "-H", "x"], 2, /^ext-proc: --header: "x" is not a header/],
    [
      "a missing expectation",
      () => ["127.0.0.1:1", messages, "--expect", "/nope"],
      1,
      /^ext-proc: --expect: \/nope cannot be read/,
    ],
  ])("call says in one line what is wrong with %s", async (_name, args, exitCode, message) => {
    expectOneLine(await runBinary(["call", ...args()]), exitCode, message);
  });
});

describe("control characters", () => {
  const HOSTILE = "\u001b]0;evil\u0007\u009b31m\u202e\r";

  /** An ext_proc server whose answers have control characters. */
  async function hostileServer(): Promise<number> {
    const answer = create(ProcessingResponseSchema, {
      response: { case: "immediateResponse", value: { body: new TextEncoder().encode(HOSTILE), details: HOSTILE } },
    });
    const server = createHttp2Server().on("stream", (stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () =>
        stream.sendTrailers({ "grpc-status": "13", "grpc-message": encodeURIComponent(`${HOSTILE}\nsecond line`) }),
      );
      stream.end(frame(toBinary(ProcessingResponseSchema, answer)));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      server.close();
    });
    return (server.address() as AddressInfo).port;
  }

  test("call escapes control characters in answers and errors of a server, except with --raw", async () => {
    const port = await hostileServer();
    const messages = file("hostile.json", JSON.stringify([{ requestHeaders: {} }]));
    const { code, stdout, stderr } = await runBinary(["call", `127.0.0.1:${port}`, messages]);
    expect(code).toBe(1);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
    expect(stdout + stderr).not.toMatch(/[\0-\u0008\u000b-\u001f\u007f-\u009f\u202e]/);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(stderr).toContain("\\u001b]0;evil\\u0007\\u009b31m\\u202e\\u000d\\u000asecond line");
    expect(JSON.parse(stdout)).toMatchObject({ immediateResponse: { details: HOSTILE } });
    const raw = await runBinary(["call", `127.0.0.1:${port}`, messages, "--raw"]);
    expect(raw.stdout).toContain("\u009b31m\u202e");
  });

  test("simulate escapes control characters in bodies, except with --raw", async () => {
    const args = ["simulate", "hello", "-X", "POST", "/", "-d", HOSTILE];
    const { code, stdout } = await runBinary(args);
    expect(code).toBe(0);
    expect(stdout).toContain("| \\u001b]0;evil\\u0007\\u009b31m\\u202e\\u000d\n");
    const raw = await runBinary([...args, "--raw"]);
    expect(raw.stdout).toContain(HOSTILE);
  });

  test.each([
    ["an unknown processor", ["serve", HOSTILE]],
    ["an unknown command", [HOSTILE]],
    ["an unknown flag", ["serve", `--${HOSTILE}`]],
    ["a file that is not there", ["check", "--config", `/${HOSTILE}`]],
    ["a server's name", ["call", HOSTILE, "messages.json"]],
  ])("control characters in %s are escaped in the error", async (_name, args) => {
    const { code, stdout, stderr } = await runBinary(args);
    expect([code === 0, stdout]).toEqual([false, ""]);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
    expect(stderr).not.toMatch(/[\0-\u0008\u000b-\u001f\u007f-\u009f\u202e]/);
  });
});
