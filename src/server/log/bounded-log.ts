import type { Logger } from "./logger.ts";

/** Longest text in a line. The message of a fault and a path on disk are shorter. */
const MAX_TEXT_CHARACTERS = 1_024;
/** Longest line, as JSON, without level and time. A line of the decision log with all lists is shorter. */
const MAX_LINE_CHARACTERS = 8_192;
const MAX_DEPTH = 4;
const CUT = "…";

/**
 * A logger that limits the length of lines, whatever a client or an author puts into a field. Each text is cut at 1,024
 * characters, and fields that would make a line longer than 8 KiB are left out.
 */
export function boundedLog(log: Logger): Logger {
  const write = (level: keyof Logger) => (fields: object, message: string) => {
    const room = new LineRoom();
    // The message is the last field of a line, and must not be left out.
    const text = room.text(message);
    log[level](room.fields(fields, 0), text);
  };
  return { info: write("info"), warn: write("warn"), error: write("error") };
}

/** The room that is left in a line. */
class LineRoom {
  #left = MAX_LINE_CHARACTERS;

  text(text: string): string {
    const short = shortened(text, MAX_TEXT_CHARACTERS);
    // In JSON, control characters and lone surrogates have six characters each.
    const size = JSON.stringify(short).length + 1;
    if (size <= this.#left) {
      this.#left -= size;
      return short;
    }
    return shortened(short, Math.max(0, Math.floor(this.#left / 6) - 1));
  }

  fields(fields: object, depth: number): Record<string, unknown> {
    const bounded: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(fields)) {
      if (value === undefined) continue;
      if (!this.#takes(name.length * 6 + 4)) break;
      bounded[name] = this.#value(value, depth);
    }
    return bounded;
  }

  #value(value: unknown, depth: number): unknown {
    if (typeof value === "string") return this.text(value);
    if (typeof value !== "object" || value === null) return this.#takes(24) ? value : CUT;
    if (depth === MAX_DEPTH) return CUT;
    return Array.isArray(value) ? this.#list(value, depth + 1) : this.fields(value, depth + 1);
  }

  #list(values: readonly unknown[], depth: number): unknown[] {
    const bounded: unknown[] = [];
    for (const value of values) {
      if (!this.#takes(4)) break;
      bounded.push(this.#value(value, depth));
    }
    return bounded;
  }

  #takes(size: number): boolean {
    const fits = size <= this.#left;
    this.#left = fits ? this.#left - size : 0;
    return fits;
  }
}

/** The beginning of a text. It does not end in the middle of a character. */
export function shortened(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text;
  return text.slice(0, maxCharacters).replace(/[\ud800-\udbff]$/, "") + CUT;
}
