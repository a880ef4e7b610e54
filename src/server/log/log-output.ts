import { writeSync } from "node:fs";
import { printable } from "./printable.ts";

/** Most bytes of lines that wait for a reader: about 4,000 lines. */
export const MAX_WAITING_BYTES = 1 << 20;
/** How often a write is tried again while the reader reads nothing. */
const RETRY_MS = 25;
/** How long the end of the process waits for the reader. */
const LAST_FLUSH_MS = 500;

/** Why a line was lost: too many lines waited for the reader, or a write failed, for example on a full disk. */
export type LogLoss = "buffer_full" | "write_failed";

/** Options of {@link LogOutput}. */
export interface LogOutputOptions {
  readonly fd: number;
  /** Called before each run of writes. It makes the descriptor non-blocking. Default: nothing. */
  readonly unblock?: () => void;
  /** Default: 1 MiB. */
  readonly maxWaitingBytes?: number;
}

/** A line that was not written yet, or not completely. */
interface WaitingLine {
  bytes: Buffer;
  isBegun: boolean;
  /** How many lost lines it reports. */
  readonly reports: number;
}

/**
 * Writes log lines to a file descriptor, and never waits for a reader.
 *
 * A line is written at once if the descriptor accepts it. If not, it waits in a buffer of limited size. Lines are lost
 * if the buffer is full, or if a write fails (ENOSPC, EPIPE). Lost lines are counted, and a line before the next one
 * says how many were lost.
 *
 * It does not write in Node's thread pool, because `process.exit()` waits for the threads of the pool, and so for a
 * write that blocks.
 */
export class LogOutput {
  /** Lines lost since the start. */
  readonly lost: Readonly<Record<LogLoss, number>> = { buffer_full: 0, write_failed: 0 };
  readonly #fd: number;
  readonly #unblock: () => void;
  readonly #maxWaitingBytes: number;
  #waiting: WaitingLine[] = [];
  #waitingBytes = 0;
  #isDropping = false;
  /** True: the last write failed in the middle of a line. */
  #hasBrokenLine = false;
  /** Lost lines that no line has reported yet. */
  #unreported = 0;
  #retry: NodeJS.Timeout | undefined;

  constructor({ fd, unblock = () => undefined, maxWaitingBytes = MAX_WAITING_BYTES }: LogOutputOptions) {
    this.#fd = fd;
    this.#unblock = unblock;
    this.#maxWaitingBytes = maxWaitingBytes;
  }

  /** Bytes that wait for the reader. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Writes one line of JSON, with its line break. Control characters are escaped. */
  write(text: string): void {
    // The buffer must be half empty before it accepts lines again. Without this rule a slow reader would get a gap
    // after every line.
    if (this.#isDropping && this.#waitingBytes > this.#maxWaitingBytes / 2) {
      this.#lose("buffer_full", 1);
      return;
    }
    const line = printable(text);
    const reports = this.#unreported;
    const bytes = Buffer.from(reports > 0 ? lossLine(reports) + line : line);
    this.#isDropping = this.#waitingBytes + bytes.length > this.#maxWaitingBytes;
    if (this.#isDropping) {
      this.#lose("buffer_full", 1);
      return;
    }
    this.#unreported = 0;
    this.#waiting.push({ bytes, isBegun: false, reports });
    this.#waitingBytes += bytes.length;
    // While a retry is planned, the descriptor is full, so an attempt for each line would be useless.
    if (this.#retry === undefined) this.#writeWaiting();
  }

  /** Writes the lines that wait, in the calling thread. Waits at most `withinMs` for the reader. */
  flush(withinMs: number = LAST_FLUSH_MS): void {
    const deadlineMs = performance.now() + withinMs;
    while (!this.#writeWaiting() && performance.now() < deadlineMs) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.min(RETRY_MS, withinMs));
    }
  }

  /** Returns true if everything is written. */
  #writeWaiting(): boolean {
    this.#unblock();
    let done = 0;
    for (const line of this.#waiting) {
      if (!this.#writeLine(line)) break;
      done++;
    }
    this.#waiting = this.#waiting.slice(done);
    if (this.#waiting.length === 0) {
      clearTimeout(this.#retry);
      this.#retry = undefined;
      return true;
    }
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#writeWaiting();
    }, RETRY_MS).unref();
    return false;
  }

  /** Returns true if the line is written or lost. */
  #writeLine(line: WaitingLine): boolean {
    try {
      // The next line must begin on a new line.
      if (this.#hasBrokenLine && writeSync(this.#fd, "\n") === 1) this.#hasBrokenLine = false;
      while (line.bytes.length > 0) {
        const written = writeSync(this.#fd, line.bytes);
        if (written === 0) return false;
        this.#waitingBytes -= written;
        line.bytes = line.bytes.subarray(written);
        line.isBegun = true;
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EAGAIN" || code === "EINTR") return false;
      this.#waitingBytes -= line.bytes.length;
      this.#hasBrokenLine ||= line.isBegun;
      this.#unreported += line.reports;
      this.#lose("write_failed", 1);
    }
    return true;
  }

  #lose(why: LogLoss, lines: number): void {
    (this.lost as Record<LogLoss, number>)[why] += lines;
    this.#unreported += lines;
  }
}

function lossLine(lost: number): string {
  const msg = "Log lines were lost: the log's reader was too slow, or a write failed";
  return `${JSON.stringify({ level: "warn", time: new Date().toISOString(), lost, msg })}\n`;
}

let standardOutput: LogOutput | undefined;

/** The log output of this process. All loggers share it, because two outputs would mix their lines. */
export function standardLogOutput(): LogOutput {
  if (standardOutput === undefined) {
    const output = new LogOutput({ fd: 1, unblock: unblockStandardOutput });
    process.on("exit", () => output.flush());
    standardOutput = output;
  }
  return standardOutput;
}

/**
 * Makes a pipe, socket or terminal at standard output non-blocking. This is done before each run of writes: every child
 * process that inherits standard output makes it blocking again, for this process too.
 */
function unblockStandardOutput(): void {
  // On Windows, Node itself makes pipes blocking and depends on it.
  if (process.platform === "win32") return;
  // Node has no public function for this. A file or a device has no such handle, and no reader that could be slow.
  (process.stdout as { _handle?: { setBlocking?(isBlocking: boolean): unknown } })._handle?.setBlocking?.(false);
}
