import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { runBinary, spawnBinary } from "../server/spawn-binary.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

describe("ext-proc", () => {
  test.each(["--help", "-h"])("ext-proc %s lists the commands", async (flag) => {
    const { code, stdout, stderr } = await runBinary([flag]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^Usage: ext-proc COMMAND/);
    for (const command of ["serve", "check", "demo", "envoy-install"])
      expect(stdout).toMatch(new RegExp(`^  ${command} +\\w`, "m"));
  });

  test.each(["--version", "-v"])("ext-proc %s prints the version", async (flag) => {
    expect(await runBinary([flag])).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: "" });
  });

  test("ext-proc without a command prints its usage as an error", async () => {
    const { code, stdout, stderr } = await runBinary([]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^Usage: ext-proc COMMAND/);
  });

  test.each(["nothing", "constructor", "", "--nothing"])(
    "ext-proc rejects the command %j in one line",
    async (command) => {
      expect(await runBinary([command])).toMatchObject({
        code: 2,
        stdout: "",
        stderr: `ext-proc: unknown command ${JSON.stringify(command)}; commands are serve, check, simulate, call, explain, demo, envoy-install\n`,
      });
    },
  );

  test.each([["--help"], ["serve", "--help"]])(
    "ext-proc ends quietly when its output has no reader: %s",
    async (...args) => {
      const { child, ended } = spawnBinary(args);
      child.stdout?.destroy();
      expect(await ended).toMatchObject({ code: 0, signal: null, stderr: "" });
    },
  );
});

describe.each(["serve", "check"])("ext-proc %s --help", (command) => {
  test.each(["--help", "-h"])("the help describes every flag, its default and its variable: %s", async (flag) => {
    const { code, stdout, stderr } = await runBinary([command, flag]);
    expect([code, stderr]).toEqual([0, ""]);
    for (const text of [
      "--listen ADDRESS",
      "default: :9002; env: EXT_PROC_LISTEN",
      "--status-listen ADDRESS",
      "default: :9003; env: EXT_PROC_STATUS_LISTEN",
      "--admin-listen ADDRESS",
      "default: 127.0.0.1:9004; env: EXT_PROC_ADMIN_LISTEN",
      "--debug on|admin|off",
      "--max-message-bytes N",
      "default: 4194304; env: EXT_PROC_MAX_MESSAGE_BYTES",
      "--drain-grace-ms N",
      "--shadow\n",
      "--config FILE",
      "EXT_PROC_ENVOY_MESSAGE_TIMEOUT_MS; file: envoy.messageTimeoutMs",
      ...(command === "serve" ? ["--port N"] : []),
      "hello, header-modifier",
    ]) {
      expect(stdout).toContain(text);
    }
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
  });
});
