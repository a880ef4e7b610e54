import { Duplex } from "node:stream";
import { expect, test } from "vitest";
import { Http2Connection } from "../../src/http2/connection.ts";
import { ConnectionError } from "../../src/http2/end-reason.ts";
import { HpackDecoder } from "../../src/http2/hpack-decoder.ts";
import type { Http2Stream, StreamHandler } from "../../src/http2/http2-stream.ts";
import { resolveHttp2Limits } from "../../src/http2/limits.ts";
import { createTotals } from "../../src/http2/totals.ts";
import { MemoryAccount } from "../../src/memory/memory-account.ts";
import {
  continuation,
  data,
  END_HEADERS,
  END_STREAM,
  frame,
  headers,
  literal,
  PADDED,
  PREFACE,
  PRIORITY,
  ping,
  REQUEST,
  rstStream,
  settings,
  settingsAck,
  uint32,
  windowUpdate,
} from "./raw-frames.ts";

/** FUZZ_MINUTES sets a long run. FUZZ_SEED repeats a failure, and every failure message has its seed. */
const { FUZZ_MINUTES, FUZZ_SEED } = process.env;
const milliseconds = FUZZ_MINUTES === undefined ? 0 : Number(FUZZ_MINUTES) * 60_000;
const firstSeed = Number(FUZZ_SEED ?? 1);
const CASES = 4000;

/** Numbers that depend only on the seed (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

type Random = ReturnType<typeof random>;

const EDGES = [0, 1, 5, 8, 0x7f, 0x80, 0xff];

function mutate(bytes: Buffer, pick: Random): Buffer {
  let mutated = Buffer.from(bytes);
  for (let count = pick(6); count > 0 && mutated.length > 0; count--) {
    const at = pick(mutated.length);
    const kind = pick(5);
    if (kind === 0) mutated[at] = pick(256);
    else if (kind === 1) mutated[at] = EDGES[pick(EDGES.length)] ?? 0;
    else if (kind === 2) mutated = mutated.subarray(0, at);
    else if (kind === 3) mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(at + pick(20))]);
    else mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(at - pick(20)), mutated.subarray(at)]);
  }
  return mutated;
}

/** A frame that is more or less valid, on one of a few streams. */
function anyFrame(pick: Random): Buffer {
  const id = 2 * pick(8) + 1;
  const flags = [0, END_STREAM, PADDED, END_STREAM | PADDED][pick(4)] ?? 0;
  const whole = headers(id).subarray(9);
  const makers: (() => Buffer)[] = [
    () => headers(id, REQUEST, flags & END_STREAM),
    () => headers(id, [...REQUEST, ["content-length", String(pick(30))]]),
    () => headers(id, [["x-trailer", "1"]], END_STREAM),
    () => frame(1, { id, flags: flags & END_STREAM, payload: whole.subarray(0, pick(whole.length)) }),
    () =>
      frame(1, { id, flags: PRIORITY | END_HEADERS, payload: Buffer.concat([uint32(pick(9)), Buffer.of(1), whole]) }),
    () => frame(1, { id, flags: END_HEADERS, payload: Buffer.concat([whole, literal("x", String(pick(9)), 0x40)]) }),
    () => frame(1, { id, flags: END_HEADERS, payload: Buffer.concat([whole, Buffer.of(0xbe + pick(3))]) }),
    () => continuation(id, whole, END_HEADERS),
    () => data(id, Buffer.alloc(pick(3000), 1), flags),
    () => data(id, Buffer.alloc(16_384, 7), flags),
    () => rstStream(id, pick(14)),
    () => windowUpdate(pick(2) * id, pick(0x7fffffff)),
    () => windowUpdate(pick(2) * id, pick(100)),
    () => settings([1 + pick(6), pick(0x20000)]),
    () => settingsAck,
    () => ping("12345678", pick(2)),
    () => frame(2, { id, payload: Buffer.concat([uint32(pick(9)), Buffer.of(1)]) }),
    () => frame(7, { payload: Buffer.alloc(8 + pick(9)) }),
    () => frame(pick(256), { id: pick(9), flags: pick(256), payload: Buffer.alloc(pick(40), pick(256)) }),
  ];
  return (makers[pick(makers.length)] ?? (() => settingsAck))();
}

function conversation(pick: Random): Buffer {
  const frames = Array.from({ length: 1 + pick(40) }, () => {
    const made = anyFrame(pick);
    return pick(8) === 0 ? mutate(made, pick) : made;
  });
  const bytes = Buffer.concat([PREFACE, settings([4, 1 << pick(20)]), settingsAck, ...frames]);
  return pick(10) === 0 ? mutate(bytes, pick) : bytes;
}

/** An application that does any allowed thing, and checks the promises of the core. */
function anyHandler(stream: Http2Stream, pick: Random): StreamHandler {
  let isOver = false;
  let hasResponded = false;
  const act = () => {
    const kind = pick(14);
    if (kind > 11) {
      const bytes = pick(9000);
      if (stream.holdReceived(bytes) && pick(2) === 0) stream.releaseReceived(bytes);
      return;
    }
    if (kind === 0) stream.pause();
    else if (kind === 1) stream.resume();
    else if (kind === 2) stream.hold()();
    else if (kind === 3) stream.reset(pick(14));
    else if (kind === 4) throw new Error("on purpose");
    else if (!hasResponded) {
      stream.respond([[":status", "200"]], pick(6) === 0);
      hasResponded = true;
    } else if (kind < 8) stream.write(Buffer.alloc(pick(40_000)));
    else if (kind < 10) stream.writeFrame(pick(40_000), (target, at) => target.fill(1, at, at));
    else if (kind === 10) stream.end(pick(2) === 0 ? undefined : [["x", "1"]]);
  };
  const hear = (isLast: boolean) => {
    if (isOver) throw new Error(`stream ${stream.id} got an event after its end`);
    isOver = isLast;
    if (!isLast) act();
  };
  let hasEnded = false;
  return {
    onData: (_bytes, start, end) => {
      if (hasEnded || end < start) throw new Error("DATA after the end");
      hear(false);
    },
    onEnd: () => {
      if (hasEnded) throw new Error("two ends");
      hasEnded = true;
      hear(false);
    },
    onReset: () => hear(true),
    onWritable: () => hear(false),
    isMidMessage: () => pick(2) === 0,
  };
}

function runCase(seed: number): void {
  const pick = random(seed);
  const sent: Buffer[] = [];
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      sent.push(chunk);
      if (pick(3) === 0) setImmediate(done);
      else done();
    },
  });
  const totals = createTotals();
  // So small that some answers and some received bytes get no room.
  const memory = new MemoryAccount({ messages: 1000 + pick(20_000), answers: 1000 + pick(100_000) });
  const connection = new Http2Connection(socket, {
    accept: (stream) => anyHandler(stream, pick),
    limits: resolveHttp2Limits({ maxConcurrentStreams: 1 + pick(8) }),
    totals,
    memory,
    now: () => 0,
    onHandlerError: (error) => {
      if (!(error instanceof Error && error.message === "on purpose")) throw error;
    },
  });
  const bytes = conversation(pick);
  for (let at = 0; at < bytes.length; ) {
    const length = 1 + pick(pick(2) === 0 ? 20 : 20_000);
    socket.emit("data", bytes.subarray(at, at + length));
    at += length;
    if (pick(20) === 0) connection.tick(pick(1000) + at * 1000);
    if (pick(50) === 0) connection.drain();
  }
  connection.close();
  for (const { kind, heldBytes, peakBytes, maxBytes } of [memory.messages, memory.answers]) {
    if (heldBytes < 0 || peakBytes > maxBytes)
      throw new Error(`${kind}: ${heldBytes} held, ${peakBytes} of ${maxBytes}`);
  }
  const isAllSent = socket.writableLength === 0;
  connection.destroy();
  if (totals.connectionsEnded.internal_error > 0) throw new Error("an exception out of the core");
  socket.emit("close");
  for (const { kind, heldBytes } of [memory.messages, memory.answers]) {
    if (heldBytes !== 0) throw new Error(`${kind}: ${heldBytes} bytes are held when the connection is gone`);
  }
  if (totals.streams !== 0 || totals.streamsHeld !== 0) throw new Error(`left over: ${JSON.stringify(totals)}`);
  expectFrames(Buffer.concat(sent), isAllSent);
}

/** Sent bytes must be whole frames of known types, except bytes that the socket had no time for. */
function expectFrames(bytes: Buffer, isAllSent: boolean): void {
  let at = 0;
  while (bytes.length - at >= 9) {
    const type = bytes[at + 3] ?? 255;
    if (type > 9) throw new Error(`sent a frame of type ${type}`);
    at += 9 + bytes.readUIntBE(at, 3);
  }
  if (at !== bytes.length && isAllSent) throw new Error("sent half a frame");
}

/** Runs cases for the requested time, and names the seed of a failure. */
async function fuzz(runOne: (seed: number) => void, cases: number): Promise<number> {
  const until = performance.now() + milliseconds / 2;
  let seed = firstSeed;
  for (; seed < firstSeed + cases || performance.now() < until; seed++) {
    try {
      runOne(seed);
    } catch (cause) {
      throw new Error(`FUZZ_SEED=${seed}: ${cause instanceof Error ? cause.stack : cause}`, { cause });
    }
    if (seed % 100 === 0) await new Promise(setImmediate);
  }
  return seed - firstSeed;
}

const timeout = 60_000 + milliseconds * 2;

test("mutated and cut connections end no process, leave no stream and send whole frames", { timeout }, async () => {
  const before = process.memoryUsage().arrayBuffers;
  expect(await fuzz(runCase, CASES)).toBeGreaterThanOrEqual(CASES);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(256 * 1024 * 1024);
});

test("mutated HPACK blocks decode or end the connection, nothing else", { timeout }, async () => {
  const samples = [
    "828684418cf1e3c2e5f23a6ba0ab90f4ff828684be5886a8eb10649cbf",
    "3fe11f4003782d610131404861626300be80",
    "4882640258 85aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
  ].map((hex) => Buffer.from(hex.replaceAll(" ", ""), "hex"));
  const runOne = (seed: number) => {
    const pick = random(seed);
    const hpack = new HpackDecoder(resolveHttp2Limits());
    for (let i = 0; i < 8; i++) {
      const block = mutate(samples[pick(samples.length)] ?? Buffer.alloc(0), pick);
      try {
        const { fields } = hpack.decode(block, 0, block.length);
        for (const { name, value } of fields) if (typeof name !== "string" || typeof value !== "string") throw fields;
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error;
        break;
      }
    }
  };
  expect(await fuzz(runOne, CASES * 5)).toBeGreaterThan(0);
});
