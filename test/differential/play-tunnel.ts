import { setTimeout as delay } from "node:timers/promises";
import type { HttpBodyInit, HttpExchange } from "../../src/simulator/http/http-exchange.ts";
import { requestsTunnel } from "../../src/simulator/http/tunnel.ts";
import { type PlayOptions, pace, quiet } from "./play-message.ts";
import type { WireField, WireStream } from "./wire.ts";

const LOOK_EVERY_MS = 5;

/** What an exchange has of a tunnel. */
export interface TunnelPlan {
  /** The request asks for a tunnel. */
  readonly isAsked: boolean;
  /** The upstream accepts it. */
  readonly isAccepted: boolean;
  /** Bytes that the client sends through it. */
  readonly clientBytes: number;
}

/** What the exchange has of a tunnel. */
export function tunnelPlan({ request = {}, response = {} }: HttpExchange): TunnelPlan {
  const isAsked = requestsTunnel(request);
  const { status = 200 } = response;
  const opening = request.method === "CONNECT" ? status >= 200 && status < 300 : status === 101;
  const sizes = (request.chunks ?? []).map((chunk) => Buffer.from(chunk as Uint8Array).length);
  return { isAsked, isAccepted: isAsked && opening, clientBytes: sizes.reduce((sum, size) => sum + size, 0) };
}

/** Pseudo-headers as HTTP/2 has them: an upgrade is an extended CONNECT (RFC 8441), and a 101 to it a 200. */
export function tunnelFields(fields: readonly WireField[], protocol: "http1" | "http2" | undefined): WireField[] {
  const value = (name: string) => fields.find(([candidate]) => candidate === name)?.[1];
  const without = (...names: string[]) => fields.filter(([name]) => !names.includes(name));
  if (value(":method") === "CONNECT") return without(":path", ":scheme");
  if (protocol !== "http2") return [...fields];
  const upgrade = value("upgrade") ?? "";
  if (value(":status") === "101") return [[":status", "200"], ...without(":status", "connection", "upgrade")];
  if (value(":method") === undefined) return [...fields];
  return [[":method", "CONNECT"], [":protocol", upgrade], ...without(":method", "connection", "upgrade")];
}

/** Asks for a tunnel as a client, and sends through it what the request has, once it is open. */
export async function playTunnelClient(stream: WireStream, init: HttpBodyInit, options: PlayOptions): Promise<void> {
  stream.batch(() => stream.head(options.fields, { endStream: false, isTunnel: true }));
  while (stream.incoming.fields === undefined) {
    if (options.isOver()) return;
    await delay(LOOK_EVERY_MS);
  }
  const status = stream.incoming.fields.find(([name]) => name === ":status")?.[1] ?? "";
  if (/^(101|2..)$/.test(status)) await sendThrough(stream, init, options);
}

/** Opens a tunnel as an upstream, sends through it, and ends it once the client's `clientBytes` have come. */
export async function playTunnelUpstream(
  stream: WireStream,
  init: HttpBodyInit,
  options: PlayOptions & { readonly clientBytes: number; readonly endsWithFrame: boolean },
): Promise<void> {
  const { chunkIntervalMs = 0 } = init;
  stream.batch(() => {
    stream.head(options.fields, { endStream: false, isTunnel: true });
    if (chunkIntervalMs === 0) for (const chunk of init.chunks ?? []) stream.data(bytesOf(chunk), false);
  });
  if (chunkIntervalMs > 0) await sendThrough(stream, init, options);
  const received = () => stream.incoming.chunks.reduce((sum, { length }) => sum + length, 0);
  while (received() < options.clientBytes) {
    if (options.isOver()) return;
    await delay(LOOK_EVERY_MS);
  }
  await quiet(options.activity, options.isThrough);
  if (options.endsWithFrame) stream.data(new Uint8Array(), true);
  else stream.destroy();
}

async function sendThrough(stream: WireStream, init: HttpBodyInit, options: PlayOptions): Promise<void> {
  const { chunks = [], chunkIntervalMs = 0 } = init;
  if (chunkIntervalMs === 0) {
    stream.batch(() => {
      for (const chunk of chunks) stream.data(bytesOf(chunk), false);
    });
    return;
  }
  for (const chunk of chunks) {
    await pace(chunkIntervalMs, options.activity, options.isThrough);
    if (options.isOver()) return;
    stream.batch(() => stream.data(bytesOf(chunk), false));
  }
}

function bytesOf(chunk: string | Uint8Array): Uint8Array {
  return typeof chunk === "string" ? Buffer.from(chunk) : chunk;
}
