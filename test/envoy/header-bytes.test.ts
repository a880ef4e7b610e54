import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import {
  type AllowedBytes,
  AUTHORITY_BYTES,
  METHOD_BYTES,
  NAME_BYTES,
  PATH_BYTES,
  VALUE_BYTES,
} from "../../src/protocol/headers/allowed-characters.ts";
import { type BareUpstream, startBareUpstream } from "./bare-upstream.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { type RunningScenes, type Scene, startScenes } from "./rows/scene.ts";
import { mutate, on, scripted } from "./rows/script-scenes.ts";
import type { ScriptedServer } from "./scripted.ts";

/** What Envoy takes in one mutation. */
const MAX_ENTRIES = 100;

const hex = (byte: number) => byte.toString(16).padStart(2, "0");
const raw = (before: string, byte: number, after: string) => ({
  hex: `${Buffer.from(before).toString("hex")}${hex(byte)}${Buffer.from(after).toString("hex")}`,
});
/** The 256 bytes that are in a table, or not. */
const bytesOf = (table: AllowedBytes, wanted = true) =>
  [...table.keys()].filter((byte) => (table[byte] === 1) === wanted);
const both = (table: AllowedBytes, other: AllowedBytes) => bytesOf(table, false).filter((byte) => other[byte]);

function batches(bytes: readonly number[]): number[][] {
  const all = [...bytes];
  const found: number[][] = [];
  while (all.length > 0) found.push(all.splice(0, MAX_ENTRIES - 10));
  return found;
}

describe.skipIf(envoyBinary === undefined)("of the 256 bytes a real Envoy", () => {
  let scenes: RunningScenes;
  let scene: Scene<ScriptedServer>;
  let upstream: BareUpstream;
  let heads: string[] = [];

  beforeAll(async () => {
    upstream = await startBareUpstream((waiting, socket) => {
      const end = waiting.indexOf("\r\n\r\n");
      if (end < 0) return waiting;
      heads.push(waiting.slice(0, end));
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      return waiting.slice(end + 4);
    });
    const filter: JsonObject = { mutation_rules: { allow_all_routing: true } };
    scenes = await startScenes(new Map([["only", { server: scripted(), filter, upstreamPort: upstream.port }]]));
    scene = scenes.scenes.get("only") as Scene<ScriptedServer>;
  }, 30_000);

  afterAll(async () => {
    await scenes?.stop();
    await upstream?.close();
  });

  const rejected = async () => (await scene.counters()).rejected_header_mutations ?? 0;

  /** Sets headers in one mutation. */
  async function set(
    headers: readonly (readonly [key: string, value: JsonObject | string])[],
    phase: "requestHeaders" | "responseHeaders" = "requestHeaders",
  ) {
    const setHeaders = headers.map(([key, rawValue]) => ({ header: { key, rawValue } }));
    scene.server.play({ rules: [on(phase, mutate(phase, { setHeaders }))] });
    heads = [];
    const before = await rejected();
    const outcome = await scene.send({ headers: { host: "old.test" } });
    return { status: outcome.status, outcome, head: heads[0] ?? "", rejected: (await rejected()) - before };
  }

  test.each(["requestHeaders", "responseHeaders"] as const)(
    "Envoy forwards the bytes of VALUE_BYTES in values of %s",
    async (phase) => {
      for (const batch of batches(bytesOf(VALUE_BYTES))) {
        const {
          status,
          outcome,
          head,
          rejected: refused,
        } = await set(
          batch.map((byte) => [`x-${hex(byte)}`, raw("<", byte, ">")]),
          phase,
        );
        expect([status, refused]).toEqual([200, 0]);
        const lines =
          phase === "requestHeaders" ? head.split("\r\n") : outcome.headerLines.map((line) => line.join(": "));
        for (const byte of batch) expect(lines).toContain(`x-${hex(byte)}: <${String.fromCharCode(byte)}>`);
      }
    },
  );

  test.each(["requestHeaders", "responseHeaders"] as const)(
    "Envoy fails on all other bytes in a value of %s",
    async (phase) => {
      for (const byte of bytesOf(VALUE_BYTES, false))
        expect([byte, (await set([["x-a", raw("<", byte, ">")]], phase)).status]).toEqual([byte, 500]);
    },
  );

  test("Envoy accepts the bytes of NAME_BYTES in names, and fails on all others except capital letters", async () => {
    const {
      status,
      head,
      rejected: refused,
    } = await set(bytesOf(NAME_BYTES).map((byte) => [`x${String.fromCharCode(byte)}y`, "1"]));
    expect([status, refused]).toEqual([200, 0]);
    for (const byte of bytesOf(NAME_BYTES)) expect(head).toContain(`\r\nx${String.fromCharCode(byte)}y: 1`);
    const capitals = /[A-Z]/;
    for (const byte of bytesOf(NAME_BYTES, false)) {
      const char = String.fromCharCode(byte);
      const wanted = capitals.test(char) ? 200 : 500;
      expect([byte, (await set([[`x${char}y`, "1"]])).status]).toEqual([byte, wanted]);
    }
  }, 60_000);

  test.each([":authority", "host"])(
    "Envoy accepts the bytes of AUTHORITY_BYTES in %s, and drops all others that a value may have",
    async (name) => {
      for (const batch of batches(bytesOf(AUTHORITY_BYTES)))
        expect(await set(batch.map((byte) => [name, raw("a", byte, "b")]))).toMatchObject({ status: 200, rejected: 0 });
      for (const batch of batches(both(AUTHORITY_BYTES, VALUE_BYTES))) {
        const { head, ...outcome } = await set(batch.map((byte) => [name, raw("a", byte, "b")]));
        expect(outcome).toMatchObject({ status: 200, rejected: batch.length });
        expect(head).toContain("\r\nhost: old.test");
      }
    },
  );

  test.each([":path", ":method"])("Envoy forwards every byte of VALUE_BYTES in %s", async (name) => {
    for (const batch of batches(bytesOf(VALUE_BYTES)))
      expect(await set(batch.map((byte) => [name, raw("/a", byte, "b")]))).toMatchObject({ status: 200, rejected: 0 });
    const [forbidden = 0] = both(name === ":path" ? PATH_BYTES : METHOD_BYTES, VALUE_BYTES).slice(-1);
    const { head } = await set([[name, raw("/a", forbidden, "b")]]);
    expect(head).toContain(`/a${String.fromCharCode(forbidden)}b`);
  });

  test("Envoy accepts exactly the bytes of PATH_BYTES in the path of a client's request", async () => {
    scene.server.play({});
    for (const batch of batches([...PATH_BYTES.keys()])) {
      const lines = await Promise.all(batch.map((byte) => statusLine(scene.port, `/a${String.fromCharCode(byte)}b`)));
      const taken = batch.filter((_, index) => lines[index]?.startsWith("HTTP/1.1 200"));
      expect(taken).toEqual(batch.filter((byte) => PATH_BYTES[byte]));
    }
  }, 60_000);

  test("Envoy accepts http and https in :scheme, in any case, and drops all other values", async () => {
    expect(await set(["http", "https", "HTTP"].map((value) => [":scheme", value]))).toMatchObject({ rejected: 0 });
    expect(await set(["", "ftp", "http:", "é"].map((value) => [":scheme", value]))).toMatchObject({ rejected: 4 });
  });

  test("Envoy omits headers of an immediate response with bytes that a value may not have", async () => {
    const reply = async (bytes: readonly number[]) => {
      const setHeaders = bytes.map((byte) => ({ header: { key: `x-${hex(byte)}`, rawValue: raw("<", byte, ">") } }));
      const send = { immediateResponse: { status: { code: 403 }, headers: { setHeaders } } };
      scene.server.play({ rules: [on("requestHeaders", { send: send as never })] });
      const outcome = await scene.send();
      return [outcome.status, outcome.headerLines.filter(([name]) => /^x-..$/.test(name)).length];
    };
    for (const batch of batches(bytesOf(VALUE_BYTES))) expect(await reply(batch)).toEqual([403, batch.length]);
    for (const byte of bytesOf(VALUE_BYTES, false)) expect([byte, await reply([byte])]).toEqual([byte, [403, 0]]);
  });
});

/** The first line that comes back; empty if the connection ends without one. */
function statusLine(port: number, path: string): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined).on("close", () => resolve(text.split("\r\n")[0] ?? ""));
    socket.on("data", (data) => {
      text += data.toString("latin1");
      if (text.includes("\r\n")) socket.destroy();
    });
    // Envoy leaves some of these without an answer.
    socket.setTimeout(3_000, () => socket.destroy());
    socket.write(`GET ${path} HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n`, "latin1");
  });
}
