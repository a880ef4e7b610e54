import type { SettingKind } from "./setting-kind.ts";

/** One setting: its flag, its place in the configuration file, and the values that it can have. */
export interface SettingSpec {
  /** Name of the flag, without its dashes. */
  readonly flag: string;
  /** Its place in the configuration file; undefined if the file cannot set it. */
  readonly path: Path | undefined;
  readonly kind: SettingKind;
  /** The placeholder of the value in `--help`; empty for a flag without a value. */
  readonly value: string;
  /** One sentence without a full stop, for `--help` and docs/settings.md. */
  readonly help: string;
  /** Default, as text; undefined: unset. */
  readonly fallback: string | undefined;
}

/** An hour, in milliseconds. */
export const HOUR_MS = 3_600_000;

/** A day, in milliseconds. */
export const DAY_MS: number = 24 * HOUR_MS;

/** A place in the configuration file. */
export type Path = readonly string[];

/** A setting without its help and its default. */
export type Placed = Pick<SettingSpec, "flag" | "value" | "path" | "kind">;

/** The name of the flag for a place in the file: `["envoy", "messageTimeoutMs"]` is `envoy-message-timeout-ms`. */
export function flagOf(path: Path): string {
  return path.map((name) => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)).join("-");
}

/** A setting that is an address to listen on. */
export function address(name: string): Placed {
  return { flag: flagOf([name]), value: "ADDRESS", path: [name], kind: { kind: "address" } };
}

/** A setting that is the path of a file. */
export function file(name: string): Placed {
  return { flag: flagOf([name]), value: "FILE", path: [name], kind: { kind: "file" } };
}

/** A setting that is one of a few words. */
export function choice(path: Path, choices: readonly string[]): Placed {
  return { flag: flagOf(path), value: choices.join("|"), path, kind: { kind: "choice", choices } };
}

/** A setting that is a whole number. */
export function integer(path: Path, least: number, most: number): Placed {
  return { flag: flagOf(path), value: "N", path, kind: { kind: "integer", least, most } };
}

/** A setting that is a regular expression. */
export function expression(path: Path): Placed {
  return { flag: flagOf(path), value: "REGEX", path, kind: { kind: "expression" } };
}

/** A setting that is true or false. */
export function toggle(path: Path): Placed {
  return { flag: flagOf(path), value: "", path, kind: { kind: "switch" } };
}
