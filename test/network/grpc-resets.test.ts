import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import type { Http2LimitsInit } from "../../src/http2/limits.ts";
import { defineProcessor } from "../../src/processor/definition.ts";
import { requestBytes } from "../grpc/fake-stream.ts";
import { grpcFrame } from "../grpc/framing.ts";
import { RawClient } from "../http2/raw-client.ts";
import { data, type Field, headers, PROCESS } from "../http2/raw-frames.ts";
import { headersOf } from "../protocol/messages.ts";
import { serverForTest } from "../server/start-server.ts";

const MESSAGE = requestBytes(headersOf("requestHeaders"));
/** Streams that may break gRPC's rules: fewer than the default, so that the test does not depend on the machine's speed. */
const BURST = 500;
const LIMITS: Http2LimitsInit = { resetsBeforeWork: { burst: BURST, perSecond: 0 } };
const STREAMS = 5_000;

async function clientOf(port: number): Promise<RawClient> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  await once(socket, "connect");
  const client = new RawClient(socket);
  await client.handshake();
  return client;
}

describe("5,000 bad streams on one connection", () => {
  test.each<[string, readonly Field[], Buffer]>([
    ["a bad flag", PROCESS, grpcFrame("", { flag: 2 })],
    [
      "a message that is too long",
      PROCESS,
      grpcFrame(Buffer.of(0x12, 0x7f, 0x0a, 0x7f, 0x0a, 0), { length: 0xffff_ffff }),
    ],
    ["a compressed flag", PROCESS, grpcFrame("", { flag: 1 })],
    ["bytes that are not a message", PROCESS, grpcFrame(Buffer.from("ffffffff", "hex"))],
    ["a deadline of a nanosecond", [...PROCESS, ["grpc-timeout", "1n"]], Buffer.alloc(0)],
  ])(
    "a flood of streams with %s ends the connection with reset_flood, and another connection is served",
    async (_name, fields, bad) => {
      let handlers = 0;
      const slow = defineProcessor({
        name: "slow",
        requestHeaders() {
          handlers++;
          return new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)));
        },
      });
      const { port, metric } = await serverForTest(slow, { http2: LIMITS });
      const attacker = await clientOf(port);
      const message = Buffer.concat([MESSAGE, bad]);
      for (let burst = 0; burst < STREAMS / 100 && !attacker.isClosed; burst++) {
        const ids = Array.from({ length: 100 }, (_, k) => 2 * (100 * burst + k) + 3);
        attacker.socket.write(Buffer.concat(ids.flatMap((id) => [headers(id, fields), data(id, message)])));
        // A deadline passes a millisecond later at the earliest.
        await new Promise((resolve) => setTimeout(resolve, fields.length > PROCESS.length ? 2 : 0));
      }
      expect(await attacker.goaway()).toMatchObject({ code: 11, debug: "reset_flood" });
      expect(handlers).toBeLessThan(50_000);
      expect(handlers).toBeGreaterThan(BURST / 2);
      expect(await metric('ext_proc_http2_connections_ended_total{reason="reset_flood"}')).toBe(1);
      const honest = await clientOf(port);
      honest.send(headers(1, PROCESS), data(1, MESSAGE));
      await honest.until(({ id, type }) => id === 1 && type === 0);
      honest.socket.destroy();
      attacker.socket.destroy();
    },
    60_000,
  );
});
