import type { Logger } from "./logger.ts";

/** Longest text in a line. A fault's message and a path on disk are shorter. */
const MAX_TEXT_CHARACTERS = 1_024;
/** Longest line, as JSON, without level and time. A line of the decision log with all its lists is shorter. */
const MAX_LINE_CHARACTERS = 8_192;
const MAX_DEPTH = 4;
const CUT = "…";

/**
 * The same logger for lines of bounded length, whatever a client, a peer or an author puts into a field: each text is cut
 * at 1,024 characters, and what makes a line longer than 8 KiB is left out.
 */
export function boundedLog(log: Logger): Logger {
  const write = (level: keyof Logger) => (fields: object, message: string) => {
    const room = new LineRoom();
    // The message comes last in a line, and says what the line is about.
    const text = room.text(message);
    log[level](room.fields(fields, 0), text);
  };
  return { info: write("info"), warn: write("warn"), error: write("error") };
}

/** What a line still has room for. */
class LineRoom {
  #left = MAX_LINE_CHARACTERS;

  text(text: string): string {
    const short = shortened(text, MAX_TEXT_CHARACTERS);
    // Control characters and lone surrogates take six characters each.
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

/** The beginning of a text, without half a character at its end. */
export function shortened(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text;
  return text.slice(0, maxCharacters).replace(/[\ud800-\udbff]$/, "") + CUT;
}
