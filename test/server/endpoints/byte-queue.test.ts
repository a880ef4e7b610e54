import { describe, expect, test } from "vitest";
import { ByteQueue } from "../../../src/server/endpoints/byte-queue.ts";
import { nextTurn } from "../../session/deferred.ts";

/** A queue of at most 10 bytes that notes when it is full and when it has room again. */
function queue() {
  const log: string[] = [];
  const bytes = new ByteQueue({ maxWaitingBytes: 10, full: () => log.push("full"), room: () => log.push("room") });
  const push = (text: string) => bytes.push(Buffer.from(text));
  return { bytes, push, log };
}

async function all(bytes: ByteQueue): Promise<string> {
  let text = "";
  for await (const chunk of bytes) text += Buffer.from(chunk).toString();
  return text;
}

describe("ByteQueue", () => {
  test("ByteQueue returns what was pushed before and during the iteration, in order", async () => {
    const { bytes, push } = queue();
    push("a");
    push("b");
    const given = all(bytes);
    await nextTurn();
    push("c");
    push("");
    await nextTurn();
    push("d");
    bytes.end();
    expect(await given).toBe("abcd");
  });

  test("ByteQueue returns nothing if nothing was pushed", async () => {
    const { bytes } = queue();
    bytes.end();
    expect(await all(bytes)).toBe("");
  });

  test("ByteQueue reports once that it is full above its limit, and once that it has room again", async () => {
    const { bytes, push, log } = queue();
    push("0123456789");
    expect(log).toEqual([]);
    push("a");
    push("b");
    push("c");
    expect(log).toEqual(["full"]);
    const iterator = bytes[Symbol.asyncIterator]();
    await iterator.next();
    expect(log).toEqual(["full", "room"]);
    push("0123456789a");
    expect(log).toEqual(["full", "room", "full"]);
  });

  test("ByteQueue fails the iteration at once, whatever is left in it", async () => {
    const { bytes, push } = queue();
    push("a");
    bytes.fail(new Error("gone"));
    await expect(all(bytes)).rejects.toThrow("gone");
    const waiting = queue();
    const given = all(waiting.bytes);
    await nextTurn();
    waiting.bytes.fail(new Error("gone"));
    await expect(given).rejects.toThrow("gone");
  });

  test("ByteQueue without a reader drops its bytes until its end, and keeps room", async () => {
    const { bytes, push, log } = queue();
    push("0123456789abc");
    let isDone = false;
    const discarded = bytes.discard().then(() => {
      isDone = true;
    });
    expect(log).toEqual(["full", "room"]);
    for (let n = 0; n < 5; n++) {
      push("0123456789abc");
      await nextTurn();
    }
    expect(isDone).toBe(false);
    expect(log.at(-1)).toBe("room");
    bytes.end();
    await discarded;
  });

  test("ByteQueue without a reader drops its bytes until it fails, and does not throw", async () => {
    const { bytes, push } = queue();
    push("a");
    const discarded = bytes.discard();
    bytes.fail(new Error("gone"));
    await discarded;
    await bytes.discard();
  });

  test("ByteQueue drops the rest after an iteration was stopped", async () => {
    const { bytes, push, log } = queue();
    push("0123456789abc");
    push("d");
    for await (const chunk of bytes) {
      expect(Buffer.from(chunk).toString()).toBe("0123456789abcd");
      break;
    }
    push("0123456789abc");
    const discarded = bytes.discard();
    bytes.end();
    await discarded;
    expect(log).toEqual(["full", "room", "full", "room"]);
  });
});
