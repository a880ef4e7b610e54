import type { Problem } from "../text/problem.ts";

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 };

/** The longest time that a timer can wait; a longer deadline has no effect. */
const MAX_TIMER_MS = 0x7fff_ffff;

/**
 * Reads a `grpc-timeout` in milliseconds (gRPC over HTTP/2, "Timeout": at most eight digits and a unit). Undefined
 * if there is none, or if it is too long to wait for.
 */
export function parseGrpcTimeout(text: string | undefined): number | Problem | undefined {
  if (text === undefined) return undefined;
  const [, digits, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? [];
  const unitMs = UNIT_MS[unit];
  if (digits === undefined || unitMs === undefined) return { problem: "a malformed grpc-timeout" };
  const timeoutMs = Number(digits) * unitMs;
  return timeoutMs > MAX_TIMER_MS ? undefined : timeoutMs;
}
