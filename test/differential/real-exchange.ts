import { setTimeout as delay } from "node:timers/promises";
import type { HttpExchange } from "../../src/simulator/http/http-exchange.ts";
import { requestsTunnel } from "../../src/simulator/http/tunnel.ts";
import type { ScriptedCall } from "../envoy/scripted.ts";
import { listenHttp1, openHttp1Client } from "./http1-wire.ts";
import { listenHttp2, openHttp2Client } from "./http2-wire.ts";
import { type Activity, pace, playMessage, quiet, TIME_SCALE, wireField } from "./play-message.ts";
import { playTunnelClient, playTunnelUpstream, tunnelFields, tunnelPlan } from "./play-tunnel.ts";
import type { IncomingMessage, WireField, WireStream } from "./wire.ts";

/** Whatever hangs is given up here; no timeout of a scenario is that long. */
const GIVE_UP_MS = 9_000;
const LOOK_EVERY_MS = 10;

/** What an exchange left behind, as bytes. */
export interface RealExchange {
  readonly client: IncomingMessage;
  readonly clientAborted: boolean;
  /** Undefined if no request came. */
  readonly upstream: IncomingMessage | undefined;
  readonly call: ScriptedCall | undefined;
}

/** The upstream of one exchange, listening before Envoy starts. */
export interface RealUpstream {
  readonly port: number;
  /** The stream with a request on it. */
  readonly stream: () => WireStream | undefined;
  readonly activity: Activity;
  /** Tells the upstream when its answer's headers have come to the client. */
  answerIsThrough: () => boolean;
  /** Settles when all of the answer has been sent; at once if it has not begun. */
  answered: () => Promise<void>;
  close(): void;
}

/** Listens as the exchange's upstream, and answers as it says. */
export async function startRealUpstream(exchange: HttpExchange): Promise<RealUpstream> {
  const activity: Activity = { lastMs: performance.now() };
  const isThrough = () => upstream.answerIsThrough();
  const streams: WireStream[] = [];
  let answered: Promise<void> | undefined;
  const { response = {} } = exchange;
  const tunnel = tunnelPlan(exchange);
  const status = String(response.status ?? 200);
  const head: WireField[] = [[":status", status], ...(response.headers ?? []).map(wireField)];
  const fields = tunnel.isAccepted ? tunnelFields(head, exchange.protocol) : head;
  const answer = async (stream: WireStream) => {
    if (response.delayMs !== undefined) await pace(response.delayMs, activity, () => true);
    const options = { fields, activity, isThrough, isOver: () => stream.incoming.end === "cut" };
    const { clientBytes } = tunnel;
    const endsWithFrame = exchange.protocol === "http2";
    if (tunnel.isAccepted) await playTunnelUpstream(stream, response, { ...options, clientBytes, endsWithFrame });
    else await playMessage(stream, response, options);
  };
  const onActivity = () => {
    activity.lastMs = performance.now();
    for (const stream of streams) {
      const { incoming } = stream;
      const ready =
        tunnel.isAsked || response.startsAfter === "request_headers"
          ? incoming.fields !== undefined
          : incoming.end === "complete";
      if (!ready || answered !== undefined || incoming.end === "cut") continue;
      answered = answer(stream);
    }
  };
  const listen = exchange.protocol === "http2" ? listenHttp2 : listenHttp1;
  const { port, close } = await listen((stream) => streams.push(stream), onActivity);
  const stream = () => streams.find(({ incoming }) => incoming.fields !== undefined);
  const upstream: RealUpstream = {
    port,
    activity,
    close,
    stream,
    answerIsThrough: () => true,
    answered: () => answered ?? Promise.resolve(),
  };
  return upstream;
}

/** Runs the exchange's client against Envoy's `port`, and returns when all is over. */
export async function playExchange(
  exchange: HttpExchange,
  { port, upstream, call }: { port: number; upstream: RealUpstream; call: () => ScriptedCall | undefined },
): Promise<RealExchange> {
  const { activity } = upstream;
  const onActivity = () => {
    activity.lastMs = performance.now();
  };
  const { request = {} } = exchange;
  const open = exchange.protocol === "http2" ? openHttp2Client : openHttp1Client;
  const client = open(port, onActivity);
  let aborted = false;
  const isThrough = () => upstream.stream() !== undefined;
  upstream.answerIsThrough = () => client.incoming.fields !== undefined;
  const isOver = () => aborted || client.incoming.end !== "open";
  const options = { activity, isThrough, isOver };
  const fields = requestFields(exchange);
  const sent = tunnelPlan(exchange).isAsked
    ? playTunnelClient(client, request, { ...options, fields: tunnelFields(fields, exchange.protocol) })
    : playMessage(client, request, { ...options, fields });
  if (request.abortAfterMs !== undefined) {
    await delay(request.abortAfterMs * TIME_SCALE);
    aborted = client.incoming.end === "open";
    // Not by Envoy, as a reader of a tunnel would take it.
    if (aborted) client.incoming.end = "cut";
    client.destroy();
  }
  const giveUpMs = performance.now() + GIVE_UP_MS;
  const isDone = () => isOver() && (call()?.events.at(-1)?.kind ?? "closed") === "closed";
  while (!isDone() && performance.now() < giveUpMs) await delay(LOOK_EVERY_MS);
  // Envoy may still be sending what the client takes for more than the response.
  if (client.incoming.end === "complete") await upstream.answered();
  await quiet(activity);
  await sent;
  // As it is now: the end of the connection is ours.
  const seen = { ...client.incoming };
  client.destroy();
  upstream.close();
  return { client: seen, clientAborted: aborted, upstream: upstream.stream()?.incoming, call: call() };
}

function requestFields({ request = {} }: HttpExchange): WireField[] {
  const hasBody = (request.chunks ?? []).length > 0 || request.trailers !== undefined;
  const method = request.method ?? (hasBody && !requestsTunnel(request) ? "POST" : "GET");
  return [
    [":method", method],
    [":scheme", request.scheme ?? "http"],
    [":authority", request.authority ?? "example.test"],
    [":path", request.path ?? "/"],
    ...(request.headers ?? []).map(wireField),
  ];
}
