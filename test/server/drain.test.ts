import { once } from "node:events";
import { Agent, request as httpRequest } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { describe, expect, onTestFinished, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { openProcess } from "../network/grpc-js-client.ts";
import { requestHeaders, responseHeaders } from "../network/messages.ts";
import { http2Session, openRawCall } from "../network/raw-grpc.ts";
import { tcp, untilClosed } from "../network/tcp.ts";
import { heldProcessor } from "./held-processor.ts";
import { serverForTest } from "./start-server.ts";

/** Longer than any of these tests may take: a test that waits for it fails. */
const NEVER_MS = 3_600_000;

describe("drain", () => {
  test("a drain without running work takes no time, whatever connections are open", async () => {
    const { server, port, statusPort, adminPort } = await serverForTest(hello, { drainGraceMs: NEVER_MS });
    const silent = await Promise.all([tcp(port), tcp(statusPort), tcp(adminPort)]);
    const half = await tcp(port);
    half.write("PRI * HT");
    const keptAlive = new Agent({ keepAlive: true });
    onTestFinished(() => keptAlive.destroy());
    const asked = httpRequest({ port: statusPort, path: "/healthz", agent: keptAlive }).end();
    const [answer] = await once(asked, "response");
    answer.resume();
    await once(answer, "end");
    const idle = connectHttp2(`http://127.0.0.1:${port}`);
    await once(idle, "remoteSettings");
    const closed = Promise.all([...silent, half].map(untilClosed));
    await server.drain();
    await closed;
    if (!idle.closed) await once(idle, "close");
  });

  test("a drain lets a running stream finish, with more messages", async () => {
    const { server, port } = await serverForTest(hello, { drainGraceMs: NEVER_MS });
    const call = openRawCall(http2Session(port));
    call.send(requestHeaders());
    await call.next();
    const drained = server.drain();
    call.send(responseHeaders());
    expect((await call.next())?.response.case).toBe("responseHeaders");
    call.stream.end();
    expect(await call.status).toBe("0");
    await drained;
  });

  test("a drain waits for a slow handler", async () => {
    const { processor, entered, release } = heldProcessor();
    const { server, port } = await serverForTest(processor, { drainGraceMs: NEVER_MS });
    const call = openProcess(port);
    call.send(requestHeaders());
    call.end();
    await entered;
    const drained = server.drain();
    release();
    expect((await call.next())?.response.case).toBe("requestHeaders");
    expect((await call.status).code).toBe(0);
    await drained;
  });

  test("a drain ends a stream that waits for an answer with UNAVAILABLE, not OK, when the grace period is over", async () => {
    const { processor, entered } = heldProcessor();
    const started = await serverForTest(processor, { drainGraceMs: 20 });
    const session = http2Session(started.port);
    const owing = openRawCall(session);
    owing.send(requestHeaders());
    const idle = openRawCall(session);
    idle.send(responseHeaders());
    await idle.next();
    await entered;
    const drained = started.server.drain();
    expect(await owing.status).toBe("14");
    expect(owing.message()).toBe("server_draining: the server shut down before the answer was ready");
    expect(await idle.status).toBe("0");
    await drained;
    expect(started.logLines()).toContainEqual(expect.objectContaining({ fault: "server_draining" }));
  });

  test("a drain ends a debug call that waits for an answer with an error", async () => {
    const { processor, entered } = heldProcessor();
    const { server, adminPort } = await serverForTest(processor, { drainGraceMs: 20 });
    const answer = fetch(`http://127.0.0.1:${adminPort}/extproc.debug.v1.DebugService/Process`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"requests":[{"requestHeaders":{}}]}',
    });
    await entered;
    void server.drain();
    expect((await answer).status).toBe(503);
    expect(await (await answer).json()).toMatchObject({ code: "unavailable" });
  });

  test("a drain keeps the status listener open, not ready, until the other listeners are done", async () => {
    const { processor, entered, release } = heldProcessor();
    const { server, port, statusPort } = await serverForTest(processor, { drainGraceMs: NEVER_MS });
    const call = openProcess(port);
    call.send(requestHeaders());
    call.end();
    await entered;
    const drained = server.drain();
    const ready = await fetch(`http://127.0.0.1:${statusPort}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([503, "draining\n"]);
    expect((await fetch(`http://127.0.0.1:${statusPort}/healthz`)).status).toBe(200);
    release();
    await drained;
    await expect(fetch(`http://127.0.0.1:${statusPort}/healthz`)).rejects.toThrow();
  });

  test("a draining server accepts no new connections", async () => {
    const { processor, entered, release } = heldProcessor();
    const { server, port } = await serverForTest(processor, { drainGraceMs: NEVER_MS });
    const call = openProcess(port);
    call.send(requestHeaders());
    call.end();
    await entered;
    const drained = server.drain();
    expect((await openProcess(port).status).code).toBe(14);
    release();
    await drained;
  });

  test("a drain ends an unfinished request, and a connection that never closes, when the grace period is over", async () => {
    const { server, port } = await serverForTest(hello, { drainGraceMs: 20 });
    const half = await tcp(port);
    half.write("POST /nothing HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n");
    const open = openRawCall(http2Session(port));
    open.send(requestHeaders());
    await open.next();
    await server.drain();
  });
});

describe("close", () => {
  test("close ends at once, even while a drain waits, and both resolve", async () => {
    const { processor, entered } = heldProcessor();
    const { server, port } = await serverForTest(processor, { drainGraceMs: NEVER_MS });
    const call = openRawCall(http2Session(port));
    call.send(requestHeaders());
    await entered;
    const drained = server.drain();
    await server.close();
    await drained;
    expect(await call.status).toBe("14");
  });

  test("close may be called again", async () => {
    const { server } = await serverForTest(hello);
    await server.close();
    await server.close();
    await server.drain();
  });
});
