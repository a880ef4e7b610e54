import { type EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { connectionCaps, descriptorLimit } from "../../src/server/listen/descriptor-limit.ts";
import { processAll } from "../network/grpc-js-client.ts";
import { requestHeaders } from "../network/messages.ts";
import { http2Session } from "../network/raw-grpc.ts";
import { tcp, untilClosed } from "../network/tcp.ts";
import { type Certificate, type CertificateFolder, certificateFolder, hasOpenssl } from "./certificates.ts";
import { type StartedServer, serverForTest } from "./start-server.ts";
import { checkHealth, handshake } from "./tls-client.ts";

const HTTP1_REQUEST = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

async function silentSockets(port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  // The connections open one after the other, so that the test knows which is the oldest.
  for (let index = 0; index < count; index++) sockets.push(await tcp(port));
  return sockets;
}

/** An HTTP/2 connection with a stream that stays open. */
async function busySession(port: number) {
  const session = http2Session(port);
  const stream = session.request({ ":method": "POST", ":path": "/grpc.health.v1.Health/Watch" });
  stream.on("error", () => undefined);
  await once(session, "remoteSettings");
  return session;
}

/** The server may reset a connection that it closes. */
function untilGone(connection: EventEmitter): Promise<void> {
  return new Promise((resolve) => connection.once("close", resolve));
}

const failures = ({ metric }: StartedServer, reason: string, listener = "main") =>
  metric(`ext_proc_connection_failures_total{listener="${listener}",reason="${reason}"}`);

describe("maxConnections", () => {
  test("at the limit the oldest silent connection is closed for a new one, counted and logged", async () => {
    const started = await serverForTest(hello, { maxConnections: 3 });
    const [oldest, ...others] = await silentSockets(started.port, 3);
    const closed = untilClosed(oldest as Socket);
    const { answers, status } = await processAll(started.port, [requestHeaders()]);
    expect([answers.length, status.code]).toEqual([1, 0]);
    expect(await closed).toBe("");
    expect(others.map(({ destroyed }) => destroyed)).toEqual([false, false]);
    expect(await failures(started, "closed_to_make_room")).toBe(1);
    expect(await started.metric('ext_proc_connections_max{listener="main"}')).toBe(3);
    expect(started.logLines()).toContainEqual(
      expect.objectContaining({
        level: "warn",
        listener: "main",
        reason: "closed_to_make_room",
        maxConnections: 3,
        msg: expect.stringContaining("--max-connections is 3"),
      }),
    );
  });

  test("a connection that has sent half a request line or half a preface is closed like a silent one", async () => {
    const started = await serverForTest(hello, { maxConnections: 2 });
    const [line, preface] = (await silentSockets(started.port, 2)) as [Socket, Socket];
    line.write("GET /");
    preface.write("PRI * HT");
    const closed = [line, preface].map(untilGone);
    await busySession(started.port);
    await busySession(started.port);
    await Promise.all(closed);
    expect(await failures(started, "closed_to_make_room")).toBe(2);
  });

  test("an idle HTTP/1.1 connection is closed for a new one, and a connection with a running request is not", async () => {
    const started = await serverForTest(hello, { maxConnections: 3 });
    const [busy, half, idle] = (await silentSockets(started.port, 3)) as [Socket, Socket, Socket];
    busy.write("POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n");
    half.write("GET / HTTP/1.1\r\nhost");
    idle.write(HTTP1_REQUEST);
    await once(idle, "data");
    await expect.poll(() => started.metric('ext_proc_connections_open{listener="main",protocol="http1"}')).toBe(3);
    await Promise.all([untilClosed(half), busySession(started.port)]);
    await Promise.all([untilClosed(idle), busySession(started.port)]);
    expect(busy.destroyed).toBe(false);
    expect(await failures(started, "closed_to_make_room")).toBe(2);
  });

  test("an HTTP/2 connection that has never had a stream is closed for a new one", async () => {
    const started = await serverForTest(hello, { maxConnections: 2 });
    const busy = await busySession(started.port);
    const unused = http2Session(started.port);
    await once(unused, "remoteSettings");
    const closed = untilGone(unused);
    await busySession(started.port);
    await closed;
    expect(busy.destroyed).toBe(false);
    expect(await failures(started, "closed_to_make_room")).toBe(1);
  });

  test("a new connection is closed at once if all others are in use, counted and logged", async () => {
    const started = await serverForTest(hello, { maxConnections: 2 });
    await Promise.all([busySession(started.port), busySession(started.port)]);
    expect(await untilClosed(await tcp(started.port))).toBe("");
    expect(await failures(started, "too_many_connections")).toBe(1);
    expect(started.logLines()).toContainEqual(
      expect.objectContaining({ level: "warn", listener: "main", reason: "too_many_connections", maxConnections: 2 }),
    );
  });

  test("a connection that ends makes room for another", async () => {
    const started = await serverForTest(hello, { maxConnections: 1 });
    for (let round = 0; round < 5; round++) {
      const session = await busySession(started.port);
      session.destroy();
      await expect.poll(() => started.metric('ext_proc_connections_open{listener="main",protocol="http2"}')).toBe(0);
    }
    expect(await failures(started, "too_many_connections")).toBe(0);
    expect(await started.metric('ext_proc_connections_total{listener="main",protocol="http2"}')).toBe(5);
  });

  test("many connections at once leave no more open than the limit, and every other one is counted", async () => {
    const started = await serverForTest(hello, { maxConnections: 10 });
    const sockets = Array.from({ length: 200 }, () => connect(started.port, "127.0.0.1").on("error", () => undefined));
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
    });
    await expect.poll(() => failures(started, "closed_to_make_room"), { timeout: 10_000 }).toBe(190);
    expect(await started.metric('ext_proc_connections_open{listener="main",protocol="unknown"}')).toBe(10);
    expect(await started.metric('ext_proc_connections_total{listener="main",protocol="unknown"}')).toBe(190);
  });

  test("the number of silent connections to the status listener is bounded, and the listener still answers", async () => {
    const started = await serverForTest(hello);
    const max = await started.metric('ext_proc_connections_max{listener="status"}');
    await Promise.all(Array.from({ length: max + 10 }, () => tcp(started.statusPort)));
    expect((await fetch(`http://127.0.0.1:${started.statusPort}/healthz`)).status).toBe(200);
    expect(await failures(started, "closed_to_make_room", "status")).toBeGreaterThanOrEqual(10);
  });

  test("maxConnections applies to a Unix socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ext-proc-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "socket");
    const started = await serverForTest(hello, { listen: `unix:${path}`, maxConnections: 2 });
    const sockets = Array.from({ length: 3 }, () => connect(path).on("error", () => undefined));
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
    });
    await once(sockets[0] as Socket, "close");
    expect(await failures(started, "closed_to_make_room")).toBe(1);
  });
});

describe.skipIf(!hasOpenssl)("maxConnections of a listener that speaks TLS", () => {
  let folder: CertificateFolder;
  let own: Certificate;

  beforeAll(() => {
    folder = certificateFolder();
    own = folder.make("server");
  });
  afterAll(() => folder.remove());

  test("the oldest connection in the middle of its handshake is closed for a new one", async () => {
    const started = await serverForTest(hello, { tls: own, maxConnections: 2 });
    const [silent, half] = (await silentSockets(started.port, 2)) as [Socket, Socket];
    half.write(Buffer.from("16030100ff0100", "hex"));
    const closed = untilClosed(silent);
    expect(await checkHealth(started.port, own)).toMatchObject({ status: 1 });
    await closed;
    expect(half.destroyed).toBe(false);
    expect(await failures(started, "closed_to_make_room")).toBe(1);
    expect(await failures(started, "tls_handshake_failed")).toBe(0);
    expect(await started.metric('ext_proc_connections_total{listener="main",protocol="http2"}')).toBe(1);
  });

  test("a connection over TLS that has ended does not count as open", async () => {
    const started = await serverForTest(hello, { tls: own });
    const open = (protocol: string) =>
      started.metric(`ext_proc_connections_open{listener="main",protocol="${protocol}"}`);
    const [idle, silent] = [await handshake(started.port), await tcp(started.port)];
    idle.write(HTTP1_REQUEST);
    await once(idle, "data");
    expect([await open("unknown"), await open("http1")]).toEqual([1, 1]);
    idle.destroy();
    silent.destroy();
    await expect.poll(async () => [await open("unknown"), await open("http1")]).toEqual([0, 0]);
    expect(await started.metric('ext_proc_connections_total{listener="main",protocol="unknown"}')).toBe(1);
  });
});

describe("the limits of connections", () => {
  test.each([
    [undefined, undefined, { main: 1024, status: 64, admin: 32 }],
    [undefined, 1_048_576, { main: 1024, status: 64, admin: 32 }],
    [undefined, 1024, { main: 494, status: 64, admin: 32 }],
    [undefined, 64, { main: 14, status: 7, admin: 3 }],
    [undefined, 40, { main: 2, status: 1, admin: 1 }],
    [undefined, 10, { main: 1, status: 1, admin: 1 }],
    [5000, 1_048_576, { main: 5000, status: 64, admin: 32 }],
    [5000, 1024, { main: 892, status: 64, admin: 32 }],
    [7, 64, { main: 7, status: 7, admin: 3 }],
  ])("the limits of connections for --max-connections %s and %s open files are %o", (wanted, openFiles, caps) => {
    expect(connectionCaps(wanted, openFiles)).toEqual(caps);
  });

  test.skipIf(process.platform === "win32")(
    "the limits of connections follow from the process's limit of open files",
    () => {
      expect(descriptorLimit()).toBeGreaterThan(32);
    },
  );
});
