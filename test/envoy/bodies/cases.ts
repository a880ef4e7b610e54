import type { Direction } from "../../../src/protocol/phase.ts";
import { numbersFrom } from "./material.ts";
import { READERS, type ReaderName } from "./readers.ts";
import { SETTINGS, type SettingName } from "./settings.ts";

/** How the body is framed on its way into Envoy. */
export interface Framing {
  /** With its content-length. */
  readonly length: boolean;
  readonly trailers: boolean;
}

/** One body on its way through one handler. */
export interface BodyCase {
  readonly id: string;
  readonly reader: ReaderName;
  readonly setting: SettingName;
  readonly direction: Direction;
  readonly size: number;
  readonly framing: Framing;
  /** The client's. */
  readonly protocol: "http1" | "http2";
}

export const KIB = 1 << 10;
export const MIB = 1 << 20;
export const SIZES = [0, 1, 64 * KIB, MIB, 20 * MIB] as const;

const FRAMINGS: readonly Framing[] = [
  { length: true, trailers: false },
  { length: false, trailers: false },
  { length: false, trailers: true },
  { length: true, trailers: true },
];

/** The cross product, in an order that is always the same. */
export function allCases(): readonly BodyCase[] {
  const cases: BodyCase[] = [];
  for (const reader of Object.keys(READERS) as ReaderName[])
    for (const setting of Object.keys(SETTINGS) as SettingName[])
      for (const direction of ["request", "response"] as const)
        for (const size of SIZES)
          for (const protocol of ["http1", "http2"] as const)
            for (const framing of FRAMINGS) {
              if (framing.length && framing.trailers && !takesBoth(direction, protocol)) continue;
              const id = String(cases.length);
              cases.push({ id, reader, setting, direction, size, framing, protocol });
            }
  return cases;
}

/** HTTP/1.1 has trailers behind chunks only, and the upstream speaks nothing else. */
function takesBoth(direction: Direction, protocol: BodyCase["protocol"]): boolean {
  return direction === "request" && protocol === "http2";
}

/** Some of each handler in each setting, the same each time: every size but the largest, which only a few have. */
export function sampledCases(): readonly BodyCase[] {
  const next = numbersFrom(6);
  return allCases().filter(({ size, direction, protocol }) => {
    const number = next() % 1_000;
    if (size < 20 * MIB) return number < (size < MIB ? 120 : 60);
    return number < (direction === "request" || protocol === "http1" ? 8 : 4);
  });
}

/** What is under test, in a line. */
export function titleOf({ reader, setting, direction, size, framing, protocol }: BodyCase): string {
  const { length, trailers } = framing;
  const framed = `${length ? "content-length" : "chunked"}${trailers ? " and trailers" : ""}`;
  return `${reader}, ${setting}: ${direction} body of ${size} bytes, ${framed}, ${protocol} client`;
}
