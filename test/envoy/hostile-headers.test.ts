import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defineProcessor } from "../../src/processor/definition.ts";
import { RawClient } from "../http2/raw-client.ts";
import * as raw from "../http2/raw-frames.ts";
import { type EnvoyRig, envoyBinary, startEnvoyRig } from "./envoy-rig.ts";

const LONG = 15_000;

const reader = defineProcessor({
  name: "reader",
  requestBody: { read: "whole", maxBytes: 1 << 20, handle: () => undefined },
});

describe.skipIf(envoyBinary === undefined)("headers of a hostile client behind a real Envoy", () => {
  let rig: EnvoyRig;

  beforeAll(async () => {
    const filter = {
      processing_mode: { request_body_mode: "BUFFERED" },
      request_attributes: ["request.path", "request.method"],
    };
    const decisionLog = { sample: 1, attributes: ["request.path", "request.method"], maxPerSecond: 1000 };
    rig = await startEnvoyRig(reader, filter, "admin", { decisionLog });
  });

  afterAll(() => rig?.stop());

  test("58,000 blanks in content-encoding cost less than half a second of CPU in ten requests", async () => {
    const headers = { "content-encoding": `a${" ".repeat(58_000)}b` };
    const post = () => rig.send({ method: "POST", headers, chunks: [Buffer.from("body")] });
    expect((await post()).status).toBeGreaterThanOrEqual(400);
    const before = process.cpuUsage();
    for (let i = 0; i < 10; i++) await post();
    expect(process.cpuUsage(before).user).toBeLessThan(500_000);
  });

  test("a method and a path of 15,000 characters leave a line of the decision log below 8 KiB", async () => {
    const socket = connectTcp(rig.envoy.port, "127.0.0.1");
    await once(socket, "connect");
    const client = new RawClient(socket);
    await client.handshake();
    for (const [id, method, path] of [
      [1, "M".repeat(LONG), "/a"],
      [3, "GET", `/${"p".repeat(LONG)}`],
    ] as const) {
      const request = [
        [":method", method],
        [":scheme", "http"],
        [":path", path],
        [":authority", "a"],
      ] as const;
      client.send(raw.headers(id, request, raw.END_STREAM));
      await client.ended(id);
    }
    socket.destroy();
    const decisions = () => rig.logLines.filter((line) => "path" in line && "attributes" in line);
    await expect
      .poll(
        () =>
          decisions()
            .map((line) => JSON.stringify(line))
            .filter((line) => line.includes("MMM") || line.includes("ppp")).length,
      )
      .toBe(2);
    for (const line of decisions()) expect(JSON.stringify(line).length).toBeLessThan(8_192);
  });
});
