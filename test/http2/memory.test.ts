import { describe, expect, test } from "vitest";
import { usedBytes } from "../used-bytes.ts";
import { headers, REQUEST, rstStream } from "./raw-frames.ts";
import { TestServer } from "./test-server.ts";

describe("memory of a connection", () => {
  test("an idle stream costs at most 8 KiB in addition to its headers", async () => {
    const server = new TestServer({ limits: { maxConcurrentStreams: 10_000 } });
    const client = await server.client();
    const before = usedBytes();
    for (let i = 0; i < 100; i++) {
      client.send(...Array.from({ length: 100 }, (_, k) => headers(2 * (100 * i + k) + 1, REQUEST)));
      await client.roundTrip();
    }
    const perStream = (usedBytes() - before) / 10_000;
    expect(server.totals.streams).toBe(10_000);
    process.stderr.write(`an idle stream costs ${Math.round(perStream)} bytes, the test's own record included\n`);
    expect(perStream).toBeLessThan(8 * 1024);
  });

  test("streams that are over leave nothing in memory", async () => {
    const server = new TestServer();
    const client = await server.client();
    const round = async (i: number) => {
      const ids = Array.from({ length: 100 }, (_, k) => 2 * (100 * i + k) + 1);
      client.send(...ids.flatMap((id) => [headers(id), rstStream(id)]));
      await client.roundTrip();
      server.streams.length = 0;
      client.frames.length = 0;
      server.pass(1000);
    };
    for (let i = 0; i < 100; i++) await round(i);
    const before = usedBytes();
    for (let i = 100; i < 500; i++) await round(i);
    expect(usedBytes() - before).toBeLessThan(1024 * 1024);
    expect(server.totals.streams).toBe(0);
  });
});
