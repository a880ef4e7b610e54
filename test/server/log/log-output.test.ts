import { spawnSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { LogOutput } from "../../../src/server/log/log-output.ts";

/** A pipe whose ends block neither a reader nor a writer. */
function openPipe() {
  const folder = mkdtempSync(join(tmpdir(), "log-output-"));
  const path = join(folder, "pipe");
  expect(spawnSync("mkfifo", [path]).status).toBe(0);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  const open = new Set([reader, writer]);
  const close = (end: number) => {
    if (open.delete(end)) closeSync(end);
  };
  onTestFinished(() => {
    for (const end of [reader, writer]) close(end);
    rmSync(folder, { recursive: true });
  });
  const read = (): string => {
    const bytes = Buffer.alloc(1 << 20);
    let text = "";
    try {
      for (;;) {
        const count = readSync(reader, bytes);
        if (count === 0) return text;
        text += bytes.toString("utf8", 0, count);
      }
    } catch {
      return text;
    }
  };
  const fill = (): void => {
    for (const bytes of [".".repeat(1000), "."]) {
      try {
        for (;;) writeSync(writer, bytes);
      } catch {
        // No room for so many bytes.
      }
    }
  };
  return { reader, writer, path, read, fill, stopReading: () => close(reader) };
}

const line = (index: number) => `{"index":${index}}\n`;

describe("LogOutput", () => {
  test("a line is written before write() returns when the descriptor takes it", () => {
    const { writer, read } = openPipe();
    new LogOutput({ fd: writer }).write(line(1));
    expect(read()).toBe(line(1));
  });

  test("lines wait for a reader that stalls, and arrive whole and in order when it reads on", async () => {
    const { writer, read, fill } = openPipe();
    const output = new LogOutput({ fd: writer });
    fill();
    const wanted = Array.from({ length: 5_000 }, (_, index) => line(index)).join("");
    for (let index = 0; index < 5_000; index++) output.write(line(index));
    expect(output.waitingBytes).toBe(wanted.length);
    let text = "";
    await vi.waitFor(() => {
      text += read().replaceAll(".", "");
      expect(output.waitingBytes).toBe(0);
    });
    expect(text + read()).toBe(wanted);
    expect(output.lost).toEqual({ buffer_full: 0, write_failed: 0 });
  });

  test("a full buffer loses lines, counts them, and the next line that is written tells how many", async () => {
    const { writer, read, fill } = openPipe();
    const output = new LogOutput({ fd: writer, maxWaitingBytes: 1000 });
    fill();
    for (let index = 0; index < 10_000; index++) output.write(line(index));
    const { buffer_full } = output.lost;
    expect(output.waitingBytes).toBeLessThanOrEqual(1000);
    expect(buffer_full).toBeGreaterThan(9_000);
    read();
    await vi.waitFor(() => expect(output.waitingBytes).toBe(0));
    const kept = read();
    output.write(line(10_000));
    const [told, next] = read().trimEnd().split("\n");
    expect(JSON.parse(told ?? "")).toMatchObject({ level: "warn", lost: buffer_full, msg: expect.any(String) });
    expect(next).toBe(line(10_000).trim());
    expect(kept.trimEnd().split("\n")).toHaveLength(10_000 - buffer_full);
    output.write(line(10_001));
    expect(read()).toBe(line(10_001));
  });

  test.each(["/dev/full"])("a write that fails loses the line and keeps no memory: %s", (path) => {
    const fd = openSync(path, "w");
    onTestFinished(() => closeSync(fd));
    const output = new LogOutput({ fd });
    for (let index = 0; index < 100; index++) output.write(line(index));
    expect(output.waitingBytes).toBe(0);
    expect(output.lost).toEqual({ buffer_full: 0, write_failed: 100 });
  });

  test("a pipe whose reader is gone loses lines, and lines after a new reader came tell how many", () => {
    const { writer, path, stopReading } = openPipe();
    const output = new LogOutput({ fd: writer });
    stopReading();
    output.write(line(1));
    output.write(line(2));
    expect([output.lost.write_failed, output.waitingBytes]).toEqual([2, 0]);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    onTestFinished(() => closeSync(reader));
    output.write(line(3));
    const bytes = Buffer.alloc(1000);
    const [told, next] = bytes.toString("utf8", 0, readSync(reader, bytes)).split("\n");
    expect(JSON.parse(told ?? "")).toMatchObject({ lost: 2 });
    expect(next).toBe(line(3).trim());
  });

  test("a descriptor that is not open loses lines", () => {
    const fd = openSync("/dev/null", "w");
    closeSync(fd);
    const output = new LogOutput({ fd });
    output.write(line(1));
    expect(output.lost.write_failed).toBe(1);
  });

  test("a line that could not be written to its end is ended before the next one", () => {
    const { writer, read, fill, path, stopReading } = openPipe();
    const output = new LogOutput({ fd: writer });
    fill();
    read();
    // The pipe accepts only a part of the line.
    output.write(`${"a".repeat(100_000)}\n`);
    expect(output.waitingBytes).toBeGreaterThan(0);
    stopReading();
    output.flush(0);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    onTestFinished(() => closeSync(reader));
    const bytes = Buffer.alloc(200_000);
    expect(bytes.toString("utf8", 0, readSync(reader, bytes))).toMatch(/^a+$/);
    output.write(line(1));
    const text = bytes.toString("utf8", 0, readSync(reader, bytes));
    expect(text.split("\n")).toEqual(["", expect.stringContaining('"lost":1'), line(1).trim(), ""]);
  });

  test("flush() gives up on a reader that stalls after the time it was given", () => {
    const { writer, fill } = openPipe();
    const output = new LogOutput({ fd: writer });
    fill();
    output.write(line(1));
    const startMs = performance.now();
    output.flush(100);
    expect(performance.now() - startMs).toBeLessThan(2_000);
    expect(output.waitingBytes).toBe(line(1).length);
  });

  test("flush() writes what waits", () => {
    const { writer, read, fill } = openPipe();
    const output = new LogOutput({ fd: writer });
    fill();
    output.write(line(1));
    read();
    output.flush();
    expect(read()).toBe(line(1));
  });
});
