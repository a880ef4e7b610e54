import { setTimeout as delay } from "node:timers/promises";
import type { HttpBodyInit } from "../../src/simulator/http/http-exchange.ts";
import { latin1, type WireField, type WireStream } from "./wire.ts";

/** Real milliseconds of one that a scenario names: far above what a busy machine takes to pass a message on. */
export const TIME_SCALE = 5;
const SLICE_MS = 5;
/** Nothing has happened for so many slices: what was under way has arrived. */
const QUIET_SLICES = 5;
/** As many where headers are seen nowhere behind Envoy: it holds them, or a busy machine has not come to them yet. */
const HELD_QUIET_SLICES = 25;
const MAX_QUIET_WAIT_MS = 3000;

/** When something last happened in an exchange, anywhere. */
export interface Activity {
  lastMs: number;
}

/** Waits a scenario's time, and on until nothing moves any more. */
export async function pace(scenarioMs: number, activity: Activity, isThrough: () => boolean): Promise<void> {
  await delay(scenarioMs * TIME_SCALE);
  await quiet(activity, isThrough);
}

/**
 * Waits until nothing moves any more; longer while the headers are not `isThrough`. Counted in short waits, since a
 * process that stands still for a moment must look at its sockets before it may call that quiet.
 */
export async function quiet(activity: Activity, isThrough = () => true): Promise<void> {
  const giveUpMs = performance.now() + MAX_QUIET_WAIT_MS;
  for (let slices = 0; slices < (isThrough() ? QUIET_SLICES : HELD_QUIET_SLICES); slices++) {
    const { lastMs } = activity;
    await delay(SLICE_MS);
    if (performance.now() > giveUpMs) return;
    if (activity.lastMs !== lastMs) slices = -1;
  }
}

/** What a message is sent with. */
export interface PlayOptions {
  readonly fields: readonly WireField[];
  readonly activity: Activity;
  /** True once the headers have been seen behind Envoy. */
  readonly isThrough: () => boolean;
  /** True once there is no use in sending more. */
  readonly isOver: () => boolean;
}

/** Sends a message as its scenario cuts it. */
export async function playMessage(stream: WireStream, init: HttpBodyInit, options: PlayOptions): Promise<void> {
  const { fields, activity, isThrough, isOver } = options;
  const chunks = (init.chunks ?? []).map((chunk) => (typeof chunk === "string" ? Buffer.from(chunk) : chunk));
  const trailers = init.trailers?.map(wireField) ?? [];
  const hasBody = chunks.length > 0 || trailers.length > 0;
  const intervalMs = init.chunkIntervalMs ?? 0;
  const send = (index: number) => {
    const last = index >= chunks.length - 1;
    const chunk = chunks[index];
    const ends = last && trailers.length === 0 && !init.emptyEnd;
    if (chunk) stream.data(chunk, ends);
    if (last && trailers.length > 0) stream.trailers(trailers);
    else if (last && !ends) stream.data(new Uint8Array(), true);
  };
  stream.batch(() => {
    stream.head(fields, { endStream: !hasBody });
    if (hasBody && intervalMs === 0) for (let index = 0; index < Math.max(1, chunks.length); index++) send(index);
  });
  if (!hasBody || intervalMs === 0) return;
  for (let index = 0; index < Math.max(1, chunks.length); index++) {
    await pace(intervalMs, activity, isThrough);
    if (isOver()) return;
    stream.batch(() => send(index));
  }
}

/** A header line as it goes over the wire. */
export function wireField([name, value]: readonly [string, string | Uint8Array]): WireField {
  return [name, latin1(typeof value === "string" ? new TextEncoder().encode(value) : value)];
}
