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
  test("gives what was pushed before and during the iteration, in order", async () => {
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

  test("gives nothing where nothing came", async () => {
    const { bytes } = queue();
    bytes.end();
    expect(await all(bytes)).toBe("");
  });

  test("is full above its limit and has room again once its bytes are taken, each told once", async () => {
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

  test("fails the iteration at once, whatever is left in it", async () => {
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

  test("drops what nobody reads until its end, and keeps room meanwhile", async () => {
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

  test("drops what nobody reads until it fails, without failing itself", async () => {
    const { bytes, push } = queue();
    push("a");
    const discarded = bytes.discard();
    bytes.fail(new Error("gone"));
    await discarded;
    await bytes.discard();
  });

  test("drops the rest behind an iteration that was broken off", async () => {
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
