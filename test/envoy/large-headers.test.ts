import { once } from "node:events";
import { request } from "node:http";
import { connect as connectTcp } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { type EnvoyProcess, startEnvoy } from "../../src/cli/demo/envoy-process.ts";
import { defineProcessor } from "../../src/processor/definition.ts";
import { immediateResponse } from "../../src/processor/effects.ts";
import type { ServeOptions } from "../../src/server/serve.ts";
import { RawClient } from "../http2/raw-client.ts";
import * as raw from "../http2/raw-frames.ts";
import { type StartedServer, startServer } from "../server/start-server.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { bootstrapWithCluster } from "./ext-proc-cluster.ts";

const KIB = 1024;

const stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

interface Rig {
  readonly envoy: EnvoyProcess;
  readonly started: StartedServer;
  /** Requests whose handler has begun, and waits for release(). */
  readonly held: () => number;
  readonly release: () => void;
}

interface RigOptions extends Pick<ServeOptions, "http2"> {
  /** How often the service's stream carries the client's cookie as metadata. */
  readonly copies?: number;
  /** Envoy's limit for a client's headers, in KiB. Default: Envoy's, 60. */
  readonly maxRequestHeadersKb?: number;
}

/** Envoy in front of a processor that answers itself: at once, or on /held when told to. */
async function startRig({ copies = 1, maxRequestHeadersKb, http2 }: RigOptions): Promise<Rig> {
  const waiting: (() => void)[] = [];
  const processor = defineProcessor({
    name: "answers",
    timeoutMs: 60_000,
    async requestHeaders(_headers, tx) {
      if (tx.request.path === "/held") await new Promise<void>((resolve) => waiting.push(resolve));
      return immediateResponse(200, { text: "ok" });
    },
  });
  const started = await startServer(processor, { adminListen: "off", http2, envoy: { messageTimeoutMs: 60_000 } });
  stops.push(() => started.server.close());
  const metadata = Array.from({ length: copies }, (_, i) => ({ key: `x-copy-${i}`, value: "%REQ(cookie)%" }));
  const bootstrap = bootstrapWithCluster({
    ports: [started.port],
    upstreamPort: 9,
    grpcService: { initial_metadata: metadata },
    filter: { message_timeout: "60s" },
  });
  if (maxRequestHeadersKb !== undefined) raiseHeaderLimit(bootstrap, maxRequestHeadersKb);
  const envoy = await startEnvoy({ binary: envoyBinary ?? "", bootstrap });
  stops.push(() => envoy.stop());
  return {
    envoy,
    started,
    held: () => waiting.length,
    release: () => {
      for (const go of waiting.splice(0)) go();
    },
  };
}

function raiseHeaderLimit(bootstrap: JsonObject, kib: number): void {
  const { listeners } = bootstrap.static_resources as unknown as {
    listeners: [{ filter_chains: [{ filters: [{ typed_config: { max_request_headers_kb: number } }] }] }];
  };
  listeners[0].filter_chains[0].filters[0].typed_config.max_request_headers_kb = kib;
}

/** A request with a cookie of so many bytes. Gives the status, or the client's error. */
function send({ port }: EnvoyProcess, cookieBytes: number, path = "/"): Promise<number | string> {
  return new Promise((resolve) => {
    const headers = { cookie: "c".repeat(cookieBytes) };
    const sent = request({ host: "127.0.0.1", port, path, headers, agent: false }, (response) => {
      response.resume().on("close", () => resolve(response.statusCode ?? 0));
    });
    sent.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    sent.end();
  });
}

/** Five transactions in flight while `harm` happens: all five end with 200, on the connection that they began on. */
async function withOthersInFlight({ envoy, started, held, release }: Rig, harm: () => Promise<void>): Promise<void> {
  const others = Array.from({ length: 5 }, () => send(envoy, 10, "/held"));
  await expect.poll(held).toBe(5);
  await harm();
  release();
  expect(await Promise.all(others)).toEqual([200, 200, 200, 200, 200]);
  expect(await started.metric("ext_proc_http2_connections_opened_total")).toBe(1);
}

describe.skipIf(envoyBinary === undefined)("client headers that Envoy copies into initial_metadata", () => {
  test("two copies of a 34 KiB cookie are served, and transactions in flight are unharmed", async () => {
    const rig = await startRig({ copies: 2 });
    await withOthersInFlight(rig, async () => {
      expect(await send(rig.envoy, 34 * KIB)).toBe(200);
    });
  });

  test.each([1, 2, 3, 4])("%i copies of cookies of up to Envoy's 60 KiB are served", async (copies) => {
    const rig = await startRig({ copies });
    for (const kib of [1, 15, 17, 31, 33, 48, 59]) expect([kib, await send(rig.envoy, kib * KIB)]).toEqual([kib, 200]);
    expect(await rig.started.metric("ext_proc_http2_header_lists_too_large_total")).toBe(0);
  });

  test("a stream with larger headers fails alone, with a count and a line that names the setting", async () => {
    const rig = await startRig({ copies: 2, http2: { maxHeaderListBytes: 64 * KIB } });
    await withOthersInFlight(rig, async () => {
      expect(await send(rig.envoy, 34 * KIB)).toBe(500);
      expect(await send(rig.envoy, 30 * KIB)).toBe(200);
      expect(await send(rig.envoy, 59 * KIB)).toBe(500);
    });
    expect(await rig.started.metric("ext_proc_http2_header_lists_too_large_total")).toBe(2);
    const lines = rig.started.logLines().filter(({ msg }) => msg.includes("--http2-max-header-list-bytes"));
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatchObject({ level: "warn", maxBytes: 65_536 });
    expect(lines[0]?.sizeBytes).toBeGreaterThan(68 * KIB);
    expect(rig.started.logText()).not.toContain("ccccc");
  });

  test("even two copies of a 7 MiB cookie, in an Envoy that accepts 8 MiB, harm no other transaction", async () => {
    const rig = await startRig({ copies: 2, maxRequestHeadersKb: 8192 });
    await withOthersInFlight(rig, async () => {
      expect(await send(rig.envoy, 7 * KIB * KIB)).toBe(500);
    });
    expect(await rig.started.metric("ext_proc_http2_header_lists_too_large_total")).toBe(1);
  }, 60_000);
});

describe.skipIf(envoyBinary === undefined)("client headers that HTTP/2 does not allow", () => {
  test("1,500 requests whose copied header has blanks at its ends fail alone, with a count and a line", async () => {
    const rig = await startRig({ copies: 1 });
    await withOthersInFlight(rig, async () => {
      const socket = connectTcp(rig.envoy.port, "127.0.0.1");
      await once(socket, "connect");
      const client = new RawClient(socket);
      await client.handshake();
      // HTTP/1.1 cannot say this, and a client library would not.
      const blanks = [...raw.REQUEST, ["cookie", " a "]] as const;
      for (let i = 0; i < 15; i++) {
        const ids = Array.from({ length: 100 }, (_, k) => 2 * (100 * i + k) + 1);
        client.send(...ids.map((id) => raw.headers(id, blanks, raw.END_STREAM)));
        await Promise.all(ids.map((id) => client.ended(id)));
        client.frames.length = 0;
      }
      socket.destroy();
      expect(await rig.started.metric("ext_proc_http2_stream_errors_total")).toBe(1500);
    });
    const lines = rig.started.logLines().filter(({ msg }) => msg.includes("malformed"));
    expect(lines[0]).toMatchObject({ level: "warn", msg: expect.stringContaining('"x-copy-0"') });
  }, 60_000);
});
