import { describe, expect, test } from "vitest";
import { readSettings, variableOf } from "../../src/server/settings/read-settings.ts";
import { SETTINGS } from "../../src/server/settings/settings.ts";
import { spawnBinary } from "../server/spawn-binary.ts";

const FREE = { EXT_PROC_LISTEN: "127.0.0.1:0", EXT_PROC_STATUS_LISTEN: "off", EXT_PROC_ADMIN_LISTEN: "off" };

/** What Kubernetes puts into every pod for a Service `name` with these ports. */
function serviceLinks(name: string, host: string, ports: Readonly<Record<string, number>>): Record<string, string> {
  const prefix = name.toUpperCase().replaceAll("-", "_");
  const [first = 0] = Object.values(ports);
  const links: Record<string, string> = {
    [`${prefix}_SERVICE_HOST`]: host,
    [`${prefix}_SERVICE_PORT`]: String(first),
    [`${prefix}_PORT`]: `tcp://${host}:${first}`,
  };
  for (const [port, number] of Object.entries(ports)) {
    links[`${prefix}_SERVICE_PORT_${port.toUpperCase().replaceAll("-", "_")}`] = String(number);
    const one = `${prefix}_PORT_${number}_TCP`;
    links[one] = `tcp://${host}:${number}`;
    links[`${one}_PROTO`] = "tcp";
    links[`${one}_PORT`] = String(number);
    links[`${one}_ADDR`] = host;
  }
  return links;
}

const LINKS = {
  ...serviceLinks("ext-proc", "10.0.0.1", { grpc: 9002 }),
  ...serviceLinks("ext-proc-status", "10.0.0.2", { status: 9003, "http-admin": 9004 }),
};

describe("the environment", () => {
  test("the environment sets what flags set, and flags override it", async () => {
    const env = { ...FREE, EXT_PROC_DEBUG: "on", EXT_PROC_LOG_LEVEL: "warn" };
    const binary = spawnBinary(["serve", "--log-level", "info", "--debug=off"], { env });
    expect(await binary.logged("Starting gRPC server")).toMatchObject({
      address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      debug: "off",
    });
    expect(await binary.logged("Status and admin")).toMatchObject({ status: "off", admin: "off" });
    binary.kill("SIGTERM");
    expect(await binary.ended).toMatchObject({ code: 0, stderr: "" });
  });

  test("the variables of Kubernetes for Services of our name are ignored without a warning", async () => {
    const binary = spawnBinary(["serve"], { env: { ...LINKS, ...FREE } });
    await binary.logged("Status and admin");
    binary.kill("SIGTERM");
    const { code, stdout, stderr } = await binary.ended;
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).not.toContain('"warn"');
    expect(stdout).not.toContain("10.0.0.");
  });

  test("a variable that names an unknown setting causes a warning", async () => {
    const binary = spawnBinary(["serve"], { env: { ...FREE, EXT_PROC_LISTNE: ":1" } });
    const line = await binary.logged("EXT_PROC_LISTNE");
    expect(line).toMatchObject({ level: "warn" });
    expect(line.msg).toMatch(
      /^EXT_PROC_LISTNE is not a setting of ext-proc and is ignored; did you mean EXT_PROC_LISTEN\?$/,
    );
    await binary.logged("Starting gRPC server");
  });

  test("the name of every setting's variable differs from variables of Kubernetes", () => {
    for (const { flag } of Object.values(SETTINGS)) expect(variableOf(flag)).not.toMatch(/_(?:PORT|HOST)$/);
  });
});

describe("readSettings", () => {
  test("readSettings prefers flags to the environment, and the environment to defaults", () => {
    const { settings, problems, warnings } = readSettings(
      { listen: ":1" },
      { EXT_PROC_LISTEN: ":2", EXT_PROC_STATUS_LISTEN: ":3", OTHER: "x" },
    );
    expect(settings).toMatchObject({
      listen: ":1",
      statusListen: ":3",
      adminListen: "127.0.0.1:9004",
      debug: "admin",
      maxMessageBytes: 4 << 20,
      drainGraceMs: 20_000,
      logLevel: "info",
      shadow: false,
      envoy: { messageTimeoutMs: 200, mutationRules: { allowEnvoy: false } },
      decisionLogSample: 0,
    });
    expect(settings).not.toHaveProperty("tlsCert");
    expect([problems, warnings]).toEqual([[], []]);
  });

  test.each(Object.keys(LINKS))("readSettings does not take %s for a setting", (name) => {
    expect(readSettings({}, { [name]: "x" })).toMatchObject({ problems: [], warnings: [] });
  });

  test.each(["EXT_PROC_NOTHING", "EXT_PROC_", "EXT_PROC_LISTEN_", "EXT_PROC_listen"])(
    "readSettings warns of %s",
    (name) => {
      expect(readSettings({}, { [name]: "x" }).warnings).toEqual([expect.stringContaining(`${name} is not a setting`)]);
    },
  );

  test("readSettings prefers flags and environment to the file", () => {
    const file = {
      listen: ":4",
      statusListen: ":5",
      drainGraceMs: 6,
      shadow: true,
      envoy: { processingMode: { requestTrailerMode: "SEND" } } as const,
    };
    const { settings } = readSettings({ listen: ":1" }, { EXT_PROC_STATUS_LISTEN: ":3" }, file);
    expect(settings).toMatchObject({ ...file, listen: ":1", statusListen: ":3" });
  });

  test.each([
    ["shadow", true, { shadow: true }],
    [
      "envoy-processing-mode-request-trailer-mode",
      "SEND",
      { envoy: { processingMode: { requestTrailerMode: "SEND" } } },
    ],
    [
      "envoy-allowed-override-modes",
      '[{"requestBodyMode":"STREAMED"}]',
      { envoy: { allowedOverrideModes: [{ requestBodyMode: "STREAMED" }] } },
    ],
    ["decision-log-sample", "0.25", { decisionLogSample: 0.25 }],
    [
      "decision-log-attributes",
      "request.id, source.address",
      { decisionLogAttributes: ["request.id", "source.address"] },
    ],
    ["on-fault", "closed", { onFault: "closed" }],
  ] as const)("readSettings reads --%s %s", (flag, text, expected) => {
    expect(readSettings({ [flag]: text }, {})).toMatchObject({ problems: [], settings: expected });
    expect(readSettings({}, { [variableOf(flag)]: String(text) })).toMatchObject({ problems: [], settings: expected });
  });

  test.each([
    ["envoy-processing-mode-request-trailer-mode", "send"],
    ["envoy-allowed-override-modes", "STREAMED"],
    ["envoy-allowed-override-modes", "{}"],
    ["envoy-allowed-override-modes", "[[]]"],
    ["envoy-allowed-override-modes", '[{"requestBody":"STREAMED"}]'],
    ["envoy-allowed-override-modes", '[{"requestBodyMode":"GRPC"}]'],
    ["decision-log-sample", "2"],
    ["decision-log-sample", ""],
    ["decision-log-attributes", "a,,b"],
    ["on-fault", "never"],
    ["envoy-message-timeout-ms", "0"],
  ])("readSettings rejects --%s %j", (flag, text) => {
    expect(readSettings({ [flag]: text }, {}).problems).toEqual([expect.stringMatching(new RegExp(`^--${flag}: `))]);
    expect(readSettings({}, { EXT_PROC_SHADOW: "yes" }).problems).toEqual([
      expect.stringContaining('expected true or false, got "yes"'),
    ]);
  });

  test("readSettings reports every problem with its flag or variable", () => {
    const { problems } = readSettings({ debug: "x" }, { EXT_PROC_DRAIN_GRACE_MS: "soon", EXT_PROC_LISTEN: "" });
    expect(problems).toEqual([
      expect.stringMatching(/^EXT_PROC_LISTEN: "" is not an address/),
      expect.stringMatching(/^--debug: expected .* got "x"/),
      expect.stringMatching(/^EXT_PROC_DRAIN_GRACE_MS: expected .* got "soon"/),
    ]);
  });
});
