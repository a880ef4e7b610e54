import { connect } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { fixture } from "../fixtures/fixture.ts";
import { openProcess, processAll } from "../network/grpc-js-client.ts";
import { headersSet, requestHeaders, responseHeaders } from "../network/messages.ts";
import { http2Session, openRawCall } from "../network/raw-grpc.ts";
import { spawnBinary } from "../server/spawn-binary.ts";

const FREE = [
  "--listen",
  "127.0.0.1:0",
  "--status-listen",
  "127.0.0.1:0",
  "--admin-listen",
  "127.0.0.1:0",
  "--drain-delay-ms",
  "0",
];
const MAIN_ONLY = [
  "--listen",
  "127.0.0.1:0",
  "--status-listen",
  "off",
  "--admin-listen",
  "off",
  "--drain-delay-ms",
  "0",
];

async function refuses(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => {
    socket.destroy();
  });
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(false)).once("error", () => resolve(true));
  });
}

describe("ext-proc serve", () => {
  test("serve runs hello unless another processor is named, and logs the real port", async () => {
    const binary = spawnBinary(["serve", "--listen", ":0", "--status-listen", ":0", "--admin-listen", "off"]);
    const { msg, processor } = await binary.logged("Starting gRPC server");
    const port = await binary.port();
    expect(port).toBeGreaterThan(0);
    expect([msg, processor]).toEqual([`Starting gRPC server on port :${port}`, "hello"]);
    const { answers } = await processAll(port, [requestHeaders(), responseHeaders()]);
    expect(answers.map(headersSet)).toEqual([
      { "x-ext-proc-header": "hello-to-asm" },
      { "x-ext-proc-header": "hello-from-asm" },
    ]);
  });

  test("serve writes only JSON lines with level, time and msg", async () => {
    const binary = spawnBinary(["serve", ...FREE]);
    await binary.logged("Status and admin");
    binary.kill("SIGTERM");
    const { stdout, stderr } = await binary.ended;
    expect(stderr).toBe("");
    for (const line of stdout.trimEnd().split("\n")) {
      expect(JSON.parse(line)).toMatchObject({
        level: "info",
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        msg: expect.any(String),
      });
    }
  });

  test("serve uses the last value of a repeated flag", async () => {
    const binary = spawnBinary(["serve", "--debug", "on", "--listen", ":1", ...FREE, "--debug", "off"]);
    expect(await binary.logged("Starting gRPC server")).toMatchObject({ debug: "off" });
  });

  test("serve accepts --port as a short form", async () => {
    const binary = spawnBinary(["serve", "--port", "0", "--status-listen", "off", "--admin-listen", "off"]);
    expect((await binary.logged("Starting gRPC server")).address).toMatch(/^:\d+$/);
  });

  test("serve composes several processors in the given order, built-in ones and files that import ext-proc", async () => {
    const binary = spawnBinary(["serve", ...MAIN_ONLY, fixture("greeter.js"), "hello"]);
    expect((await binary.logged("Starting gRPC server")).processor).toBe("greeter+hello");
    const { answers } = await processAll(await binary.port(), [requestHeaders([["x-user", "bob"]])]);
    expect(answers.map(headersSet)).toEqual([{ "x-greeting": "hello bob", "x-ext-proc-header": "hello-to-asm" }]);
  });

  test("serve warns when header-modifier starts, and logs a bad control header without its content", async () => {
    const binary = spawnBinary(["serve", ...MAIN_ONLY, "hello", "header-modifier"]);
    expect(await binary.logged("header-modifier lets any client set")).toMatchObject({ level: "warn" });
    const port = await binary.port();
    const control = (value: string) => [requestHeaders([["request-header-modifier", value]])];
    const { answers } = await processAll(port, control('{"x-a":"1"}'));
    expect(answers.map(headersSet)).toEqual([{ "x-ext-proc-header": "hello-to-asm", "x-a": "1" }]);
    expect((await processAll(port, control("s3cret{"))).status.code).toBe(0);
    expect(await binary.logged("Ignored an invalid")).toMatchObject({ level: "warn", problem: "not_json" });
    binary.kill("SIGTERM");
    expect((await binary.ended).stdout).not.toContain("s3cret");
  });

  test("serve continues when the reader of its log is gone", async () => {
    const binary = spawnBinary(["serve", ...MAIN_ONLY, fixture("thrower.js")]);
    const port = await binary.port();
    binary.child.stdout?.destroy();
    // Each of these requests is logged.
    for (let index = 0; index < 5; index++) expect((await processAll(port, [requestHeaders()])).status.code).toBe(13);
    expect((await processAll(port, [responseHeaders()])).status.code).toBe(0);
    binary.kill("SIGTERM");
    expect(await binary.ended).toMatchObject({ code: 0, signal: null, stderr: "" });
  });
});

test("SIGUSR1 opens no inspector and is logged", async () => {
  const binary = spawnBinary(["serve", ...MAIN_ONLY]);
  await binary.port();
  binary.kill("SIGUSR1");
  expect(await binary.logged("Ignored SIGUSR1")).toMatchObject({ level: "warn" });
  binary.kill("SIGTERM");
  expect(await binary.ended).toMatchObject({ code: 0, signal: null, stderr: "" });
});

describe("resets and lost connections", () => {
  test("stream resets and lost connections write nothing to standard error, and the log has only the start", async () => {
    const binary = spawnBinary(["serve", ...MAIN_ONLY]);
    const port = await binary.port();
    for (let round = 0; round < 5; round++) {
      const session = http2Session(port);
      const calls = Array.from({ length: 100 }, () => openRawCall(session));
      for (const call of calls) call.send(requestHeaders());
      await Promise.all(calls.map((call) => call.next()));
      for (const call of calls.slice(round)) call.reset("INTERNAL_ERROR");
      session.socket.resetAndDestroy();
    }
    expect((await processAll(port, [requestHeaders()])).status.code).toBe(0);
    binary.kill("SIGTERM");
    const { code, stdout, stderr } = await binary.ended;
    expect([code, stderr]).toEqual([0, ""]);
    const messages = stdout.trimEnd().split("\n");
    expect(messages.map((line) => JSON.parse(line).level)).toEqual(["info", "info", "info", "info"]);
  });
});

describe.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("%s", (signal) => {
  test("the signal ends an idle server with exit code 0, and nothing listens after it", async () => {
    const binary = spawnBinary(["serve", ...FREE]);
    const port = await binary.port();
    const { status, admin } = await binary.otherPorts();
    // Idle connections and a scrape do not delay the end.
    const call = openRawCall(http2Session(port));
    call.send(requestHeaders());
    await call.next();
    call.stream.end();
    await call.status;
    await fetch(`http://127.0.0.1:${status}/metrics`).then((answer) => answer.text());
    binary.kill(signal);
    expect(await binary.ended).toMatchObject({ code: 0, signal: null, stderr: "" });
    expect(await binary.logged("Stopping")).toMatchObject({ level: "info", reason: signal });
    expect(await Promise.all([port, status, admin].map(refuses))).toEqual([true, true, true]);
  });

  test("the signal lets a running stream finish", async () => {
    const binary = spawnBinary(["serve", ...FREE, "--drain-grace-ms", "3600000"]);
    const port = await binary.port();
    const { status } = await binary.otherPorts();
    const call = openProcess(port);
    call.send(requestHeaders());
    await call.next();
    binary.kill(signal);
    await binary.logged("Stopping");
    expect((await fetch(`http://127.0.0.1:${status}/readyz`)).status).toBe(503);
    call.send(responseHeaders());
    expect((await call.next())?.response.case).toBe("responseHeaders");
    call.end();
    expect((await call.status).code).toBe(0);
    expect(await binary.ended).toMatchObject({ code: 0, stderr: "" });
  });
});

describe("the end of a server", () => {
  test("a server that stops ends a stream that waits for an answer with UNAVAILABLE when the grace period is over, and then exits", async () => {
    const binary = spawnBinary(["serve", ...MAIN_ONLY, "--drain-grace-ms", "50", fixture("hanging.js")]);
    const call = openProcess(await binary.port());
    call.send(requestHeaders());
    await binary.logged("handler called");
    binary.kill("SIGTERM");
    const status = await call.status;
    expect(status.code).toBe(14);
    expect(decodeURIComponent(status.details)).toMatch(/^server_draining: /);
    expect(await binary.ended).toMatchObject({ code: 0, stderr: "" });
  });

  test("a server ends at once after a second signal", async () => {
    const binary = spawnBinary(["serve", ...MAIN_ONLY, "--drain-grace-ms", "3600000", fixture("hanging.js")]);
    const call = openProcess(await binary.port());
    call.send(requestHeaders());
    await binary.logged("handler called");
    binary.kill("SIGTERM");
    await binary.logged("Stopping");
    binary.kill("SIGINT");
    expect((await call.status).code).toBe(14);
    expect(await binary.ended).toMatchObject({ code: 0, stderr: "" });
    expect(await binary.logged("Stopped")).toMatchObject({ hurried: true });
  });

  test("a server ends at once after a second signal, although the close of a processor hangs", async () => {
    const binary = spawnBinary(["serve", ...MAIN_ONLY, fixture("hanging-close.js")]);
    await binary.port();
    binary.kill("SIGTERM");
    await binary.logged("Stopping");
    const startMs = performance.now();
    binary.kill("SIGINT");
    expect(await binary.ended).toMatchObject({ code: 0, signal: null, stderr: "" });
    // After one signal the server waits 5 s for such a close.
    expect(performance.now() - startMs).toBeLessThan(3_000);
    expect(await binary.logged("Stopped")).toMatchObject({ hurried: true });
  });

  test("a server ends although a processor keeps the event loop busy", async () => {
    const binary = spawnBinary(["serve", ...MAIN_ONLY, fixture("ticking.js")]);
    await binary.port();
    binary.kill("SIGTERM");
    expect(await binary.ended).toMatchObject({ code: 0, signal: null });
  });

  test("a server ends at once at any signal while a processor is still loading", async () => {
    const binary = spawnBinary(["serve", ...MAIN_ONLY, fixture("loading.js")]);
    await binary.logged("loading");
    binary.kill("SIGTERM");
    expect(await binary.ended).toMatchObject({ code: 0, signal: null, stderr: "" });
  });

  test("a server continues for 5 s after SIGTERM and SIGHUP by default, and stops at once after SIGINT", async () => {
    const args = ["serve", "--listen", "127.0.0.1:0", "--status-listen", "off", "--admin-listen", "off"];
    const [term, hup, int] = [spawnBinary(args), spawnBinary(args), spawnBinary(args)];
    await Promise.all([term.port(), hup.port(), int.port()]);
    term.kill("SIGTERM");
    hup.kill("SIGHUP");
    int.kill("SIGINT");
    expect(await term.logged("Stopping")).toMatchObject({ delayMs: 5000 });
    expect(await hup.logged("Stopping")).toMatchObject({ delayMs: 5000 });
    expect(await int.logged("Stopping")).toMatchObject({ delayMs: 0 });
    expect((await processAll(await term.port(), [requestHeaders()])).status.code).toBe(0);
    expect((await Promise.all([term.ended, hup.ended, int.ended])).map(({ code }) => code)).toEqual([0, 0, 0]);
  });
});

describe("a failure outside of transactions", () => {
  test("a handler's call of process.exit() is logged with its place, and a normal end is not", async () => {
    const binary = spawnBinary(["serve", ...MAIN_ONLY, fixture("exiting.js")]);
    void processAll(await binary.port(), [requestHeaders()]).catch(() => undefined);
    expect(await binary.ended).toMatchObject({ code: 7, stderr: "" });
    expect(await binary.logged("process.exit() was called")).toMatchObject({
      level: "error",
      code: 7,
      at: expect.arrayContaining([expect.stringContaining("exiting.js:")]),
    });
    const other = spawnBinary(["serve", ...MAIN_ONLY]);
    await other.port();
    other.kill("SIGTERM");
    expect((await other.ended).stdout).not.toContain("process.exit()");
  });

  test("an unhandled rejection is logged without its message, and the service continues", async () => {
    const binary = spawnBinary(["serve", ...MAIN_ONLY, fixture("floating.js")]);
    const port = await binary.port();
    for (let round = 0; round < 2; round++) {
      expect((await processAll(port, [requestHeaders()])).status.code).toBe(0);
      expect(await binary.logged("was not handled")).toMatchObject({ level: "error", error: "RangeError" });
    }
    binary.kill("SIGTERM");
    const { code, stdout } = await binary.ended;
    expect(code).toBe(0);
    expect(stdout).not.toContain("s3cr3t");
  });

  test("an uncaught exception drains the service and ends it with exit code 70", async () => {
    const binary = spawnBinary(["serve", ...MAIN_ONLY, fixture("exploding.js")]);
    await processAll(await binary.port(), [requestHeaders()]);
    expect(await binary.logged("An exception outside")).toMatchObject({ level: "error", error: "RangeError" });
    const { code, stdout, stderr } = await binary.ended;
    expect([code, stderr]).toEqual([70, ""]);
    expect(stdout).not.toContain("s3cr3t");
  });
});
