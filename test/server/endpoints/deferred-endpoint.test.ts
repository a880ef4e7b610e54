import { EventEmitter } from "node:events";
import { describe, expect, test } from "vitest";
import type { AcceptStream, StreamHandler } from "../../../src/http2/http2-stream.ts";
import { deferredEndpoint } from "../../../src/server/endpoints/deferred-endpoint.ts";
import type { Endpoint } from "../../../src/server/endpoints/endpoint.ts";
import { LazyPart, LoadFailures } from "../../../src/server/log/lazy-part.ts";
import { createLogger } from "../../../src/server/log/log.ts";
import { FakeStream, headerList } from "../../grpc/fake-stream.ts";
import { deferred, nextTurn } from "../../session/deferred.ts";

/** An endpoint that notes what comes, and how to load it. */
function recorded() {
  const log: string[] = [];
  const accept: AcceptStream = (_stream, headers) => {
    log.push(`accept ${headers.path}`);
    const handler: StreamHandler = {
      onData: (bytes, start, end) => log.push(bytes.toString("latin1", start, end)),
      onEnd: (trailers) => log.push(`end ${trailers?.fields.length ?? "-"}`),
      onReset: (code) => log.push(`reset ${code}`),
      onWritable: () => log.push("writable"),
    };
    return handler;
  };
  const loading = deferred<Endpoint>();
  const load = async () => {
    loading.resolve({ http1: (request) => log.push(`http1 ${request.url}`), http2: accept });
    await nextTurn();
  };
  const part = new LazyPart("connect", async () => ({ main: await loading.promise }), new LoadFailures(QUIET));
  return { log, load, endpoint: deferredEndpoint(part, "main") };
}

const QUIET = createLogger("silent");

const HEADERS = headerList([":path", "/a"]);

/** Bytes in a buffer that is overwritten as soon as the call is over. */
function give(handler: StreamHandler, text: string): void {
  const buffer = Buffer.from(`<${text}>`);
  handler.onData(buffer, 1, 1 + text.length);
  buffer.fill("#");
}

describe("deferredEndpoint", () => {
  test("a deferred endpoint keeps a request until it is loaded, and passes it on in order", async () => {
    const { log, load, endpoint } = recorded();
    const handler = endpoint.http2(new FakeStream(), HEADERS);
    give(handler, "one");
    give(handler, "two");
    handler.onEnd(headerList(["x", "y"]));
    await nextTurn();
    expect(log).toEqual([]);
    await load();
    expect(log).toEqual(["accept /a", "one", "two", "end 1"]);
  });

  test("a loaded deferred endpoint passes on requests at once", async () => {
    const { log, load, endpoint } = recorded();
    const early = endpoint.http2(new FakeStream(), HEADERS);
    give(early, "one");
    await load();
    give(early, "two");
    early.onWritable?.();
    early.onReset(8);
    const late = endpoint.http2(new FakeStream(), HEADERS);
    late.onEnd(undefined);
    expect(log).toEqual(["accept /a", "one", "two", "writable", "reset 8", "accept /a", "end -"]);
  });

  test("a deferred endpoint drops a request that was reset while loading", async () => {
    const { log, load, endpoint } = recorded();
    const handler = endpoint.http2(new FakeStream(), HEADERS);
    give(handler, "one");
    handler.onReset(8);
    await load();
    expect(log).toEqual([]);
  });

  test("a deferred endpoint returns no flow-control window while it loads, so requests do not pile up", async () => {
    const { load, endpoint } = recorded();
    const stream = new FakeStream();
    const handler = endpoint.http2(stream, HEADERS);
    give(handler, "one");
    expect(stream.isPaused).toBe(true);
    await load();
    expect(stream.isPaused).toBe(false);
  });

  test("a deferred endpoint keeps HTTP/1.1 requests", async () => {
    const { log, load, endpoint } = recorded();
    const request = (url: string) => endpoint.http1(Object.assign(new EventEmitter(), { url }) as never, {} as never);
    request("/early");
    expect(log).toEqual([]);
    await load();
    request("/late");
    expect(log).toEqual(["http1 /early", "http1 /late"]);
  });

  test("a deferred endpoint answers 503 when the load fails, and the next request loads again", async () => {
    const log: string[] = [];
    let works = false;
    const failures = new LoadFailures(QUIET);
    const part = new LazyPart(
      "connect",
      async () => {
        if (!works) throw new Error("EMFILE: too many open files, open '/secret/path.js'");
        const http2: AcceptStream = (_stream, headers) => {
          log.push(`accept ${headers.path}`);
          return { onData: () => undefined, onEnd: () => undefined, onReset: () => undefined };
        };
        return { main: { http1: () => undefined, http2 } };
      },
      failures,
    );
    const endpoint = deferredEndpoint(part, "main");
    const stream = new FakeStream();
    const handler = endpoint.http2(stream, HEADERS);
    handler.onEnd(undefined);
    await nextTurn();
    expect(stream.fields[0]).toMatchObject({ ":status": "503" });
    expect(failures.counts.connect).toBe(1);
    works = true;
    endpoint.http2(new FakeStream(), HEADERS);
    await nextTurn();
    endpoint.http2(new FakeStream(), HEADERS);
    expect(log).toEqual(["accept /a", "accept /a"]);
    expect(failures.counts.connect).toBe(1);
  });
});
