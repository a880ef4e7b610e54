import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Http1Handler } from "../../../src/server/endpoints/endpoint.ts";
import { Http1Server, type Http1Timeouts } from "../../../src/server/listen/http1-server.ts";
import { tcp, untilClosed } from "../../network/tcp.ts";

const SHORT: Http1Timeouts = { headersMs: 100, requestMs: 200, checkIntervalMs: 20 };

/** Connections as a listener passes them on. */
async function serving(handler: Http1Handler, timeouts?: Http1Timeouts) {
  const failures: string[] = [];
  const http1 = new Http1Server(handler, { timeouts, onFailure: (reason) => failures.push(reason) });
  const tcpServer = createServer({ allowHalfOpen: true }, (socket) => http1.serve(socket));
  tcpServer.listen(0, "127.0.0.1");
  await once(tcpServer, "listening");
  onTestFinished(() => {
    http1.drain();
    tcpServer.close();
  });
  return { http1, failures, port: (tcpServer.address() as AddressInfo).port };
}

const ok: Http1Handler = (request, response) => {
  request.resume();
  request.once("end", () => response.end("ok"));
};

describe("Http1Server", () => {
  test.each([
    ["headers", "GET / HTTP/1.1\r\nhost: a\r\nx"],
    ["a body", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf"],
  ])("Http1Server closes the connection of a client that does not finish %s", async (_name, start) => {
    const { port, failures } = await serving(ok, SHORT);
    const socket = await tcp(port);
    socket.write(start);
    // The test checks that the call ends, not its result.
    expect(await untilClosed(socket)).toMatch(/^(?:HTTP\/1\.1 408 |$)/);
    expect(failures).toEqual(["http1_request_timeout"]);
  });

  test("Http1Server closes a connection whose second request does not end", async () => {
    const { port } = await serving(ok, SHORT);
    const socket = await tcp(port);
    socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    await once(socket, "data");
    socket.write("GET / HTTP/1.1\r\n");
    expect(await untilClosed(socket)).toMatch(/^(?:HTTP\/1\.1 408 |$)/);
  });

  test("Http1Server does not end a slow handler", async () => {
    let answer = () => {};
    const slow: Http1Handler = (_request, response) => {
      answer = () => response.end("late");
    };
    const { port } = await serving(slow, SHORT);
    const [patient, given] = [await tcp(port), await tcp(port)];
    patient.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    const said = untilClosed(patient);
    // When this connection times out, the other one has long been open for longer than the same limits.
    given.write("GET / HTTP/1.1\r\n");
    await untilClosed(given);
    answer();
    expect(await said).toMatch(/late$/);
  });

  test("a drain of Http1Server ends idle connections at once, and the others after their answer", async () => {
    let answer: (() => void) | undefined;
    const held: Http1Handler = (_request, response) => {
      answer = () => response.end("done");
    };
    const { http1, port } = await serving((request, response) =>
      (request.url === "/held" ? held : ok)(request, response),
    );
    const [idle, active] = [await tcp(port), await tcp(port)];
    idle.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    await once(idle, "data");
    active.write("GET /held HTTP/1.1\r\nhost: a\r\n\r\n");
    while (answer === undefined) await new Promise((resolve) => setImmediate(resolve));
    http1.drain();
    await untilClosed(idle);
    const said = untilClosed(active);
    answer();
    expect(await said).toMatch(/done$/);
  });
});
