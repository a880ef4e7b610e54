import { expect, test } from "vitest";
import { headers, rstStream } from "./raw-frames.ts";
import { TestServer } from "./test-server.ts";

const REFUSED_STREAM = 7;

/** A server whose handlers continue when their stream is reset. */
function outliving(limits: { readonly maxConcurrentStreams: number; readonly uncountedHolds?: number }) {
  const releases: (() => void)[] = [];
  const server = new TestServer({
    limits,
    handle: ({ stream }) => ({ onReset: () => void releases.push(stream.hold()) }),
  });
  return { server, releases };
}

test("a handler that learns of its stream's end in onReset keeps its place until it releases it", async () => {
  const { server, releases } = outliving({ maxConcurrentStreams: 2 });
  const client = await server.client();
  client.send(headers(1), rstStream(1), headers(3), rstStream(3), headers(5));
  expect(await client.resetCode(5)).toBe(REFUSED_STREAM);
  expect(server.totals).toMatchObject({ streamsHeld: 2, streams: 0, streamsRefused: 1 });
  for (const release of releases) release();
  for (const release of releases) release();
  client.send(headers(7), headers(9));
  await client.roundTrip();
  expect(server.totals).toMatchObject({ streamsHeld: 0, streams: 2, streamsRefused: 1 });
});

test("a stream that is held twice counts once", async () => {
  const server = new TestServer({
    handle: ({ stream }) => {
      stream.hold();
      return { onReset: () => void stream.hold() };
    },
  });
  const client = await server.client();
  client.send(headers(1), rstStream(1));
  await client.roundTrip();
  expect(server.totals.streamsHeld).toBe(1);
});

test("held streams are not counted up to uncountedHolds in the whole server", async () => {
  const { server, releases } = outliving({ maxConcurrentStreams: 2, uncountedHolds: 3 });
  const [first, second] = [await server.client(), await server.client()];
  first.send(headers(1), rstStream(1), headers(3), rstStream(3), headers(5), rstStream(5));
  first.send(headers(7));
  await first.roundTrip();
  expect(server.totals).toMatchObject({ streamsHeld: 3, streams: 1, streamsRefused: 0 });
  // The fourth is one too many, and it is not on the connection that holds the other three.
  second.send(headers(1), rstStream(1), headers(3));
  first.send(headers(9));
  expect(await first.resetCode(9)).toBe(REFUSED_STREAM);
  await second.roundTrip();
  expect(server.totals).toMatchObject({ streamsHeld: 4, streams: 2, streamsRefused: 1 });
  releases[0]?.();
  first.send(headers(11));
  await first.roundTrip();
  expect(server.totals).toMatchObject({ streamsHeld: 3, streams: 3, streamsRefused: 1 });
});

test("handlers of a connection that is gone are held too", async () => {
  const { server, releases } = outliving({ maxConcurrentStreams: 2 });
  const { client, connection } = server.connect();
  await client.handshake();
  client.send(headers(1));
  await client.roundTrip();
  connection.destroy();
  expect(server.totals.streamsHeld).toBe(1);
  releases[0]?.();
  expect(server.totals.streamsHeld).toBe(0);
});
