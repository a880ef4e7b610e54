import { expect, test } from "vitest";
import { headers, PREFACE, rstStream, settings, settingsAck } from "./raw-frames.ts";
import { TestServer } from "./test-server.ts";

const REFUSED_STREAM = 7;

/** A client that has not read the server's SETTINGS yet, with three streams open. */
async function early(limits: { readonly maxConcurrentStreams: number; readonly maxEarlyStreams: number }) {
  const server = new TestServer({ limits });
  const { client } = server.connect();
  client.send(PREFACE, settings(), headers(1), headers(3), headers(5));
  return { server, client };
}

test("a client that cannot know maxConcurrentStreams yet may open maxEarlyStreams", async () => {
  const { server, client } = await early({ maxConcurrentStreams: 1, maxEarlyStreams: 3 });
  client.send(headers(7));
  expect(await client.resetCode(7)).toBe(REFUSED_STREAM);
  expect(server.totals).toMatchObject({ streams: 3, streamsRefused: 1 });
});

test("open streams stay once the client has acknowledged SETTINGS, and maxConcurrentStreams applies to new ones", async () => {
  const { server, client } = await early({ maxConcurrentStreams: 2, maxEarlyStreams: 3 });
  client.send(settingsAck, headers(7));
  expect(await client.resetCode(7)).toBe(REFUSED_STREAM);
  client.send(rstStream(1), headers(9));
  expect(await client.resetCode(9)).toBe(REFUSED_STREAM);
  client.send(rstStream(3), headers(11));
  await client.roundTrip();
  expect(server.totals).toMatchObject({ streams: 2, streamsRefused: 2 });
});

test("maxEarlyStreams never lowers maxConcurrentStreams", async () => {
  const { server, client } = await early({ maxConcurrentStreams: 3, maxEarlyStreams: 1 });
  await client.roundTrip();
  expect(server.totals).toMatchObject({ streams: 3, streamsRefused: 0 });
});
