import type { JsonObject } from "@bufbuild/protobuf";
import { type Counters, zeroCounters } from "../../src/simulator/report/counters.ts";
import type {
  ClientReport,
  HttpReport,
  ReceivedHeader,
  StreamEnd,
  StreamMessage,
  UpstreamReport,
} from "../../src/simulator/report/report.ts";
import type { ScriptedCall } from "../envoy/scripted.ts";
import { ROUTE_HEADER } from "./envoy-config.ts";
import type { RealExchange } from "./real-exchange.ts";
import type { IncomingMessage, WireField } from "./wire.ts";

/** A line of the access log. */
export interface AccessLogLine {
  readonly id: string;
  readonly details: string | null;
  readonly metadata?: Readonly<Record<string, JsonObject | null>>;
}

/** What Envoy itself said about an exchange. */
export interface EnvoyRecord {
  readonly counters: Readonly<Record<string, number>>;
  readonly log: AccessLogLine | undefined;
}

/** What really happened, in the simulator's words. Warnings and times have no counterpart. */
export function realOutcome(exchange: RealExchange, { counters, log }: EnvoyRecord): HttpReport {
  const metadata = Object.entries(log?.metadata ?? {}).filter(
    (entry): entry is [string, JsonObject] => entry[1] !== null,
  );
  return {
    upstream: exchange.upstream && upstreamOutcome(exchange.upstream),
    client: clientOutcome(exchange.client, exchange.clientAborted),
    messages: exchange.call ? streamMessages(exchange.call) : [],
    streamEnd: streamEnd(exchange.call),
    counters: knownCounters(counters),
    responseCodeDetails: log?.details ?? "",
    dynamicMetadata: Object.fromEntries(metadata),
    typedDynamicMetadata: {},
    warnings: [],
    durationMs: 0,
  };
}

function upstreamOutcome(message: IncomingMessage): UpstreamReport {
  const fields = message.fields ?? [];
  return {
    route: fields.find(([name]) => name === ROUTE_HEADER)?.[1] ?? "",
    headers: fields.filter(([name]) => name !== ROUTE_HEADER).map(received),
    body: bytes(message.chunks),
    trailers: message.trailers.map(received),
    end: message.end === "complete" ? "complete" : "incomplete",
    smuggled: bytes(message.surplus),
  };
}

function clientOutcome(message: IncomingMessage, aborted: boolean): ClientReport {
  const fields = message.fields ?? [];
  const status = fields.find(([name]) => name === ":status")?.[1];
  const ends = {
    complete: "complete",
    cut: aborted ? "aborted" : "reset",
    open: aborted ? "aborted" : "stalled",
  } as const;
  return {
    status: status === undefined ? undefined : Number(status),
    headers: fields.filter(([name]) => name !== ":status").map(received),
    body: bytes(message.chunks),
    trailers: message.trailers.map(received),
    end: ends[message.end],
    surplus: bytes(message.surplus),
  };
}

function streamMessages({ events }: ScriptedCall): StreamMessage[] {
  return events.flatMap((event): StreamMessage[] => {
    if (event.kind === "received") return [{ from: "envoy", atMs: event.atMs, message: event.message }];
    if (event.kind === "sent" && event.response) return [{ from: "server", atMs: event.atMs, message: event.response }];
    return [];
  });
}

function streamEnd(call: ScriptedCall | undefined): StreamEnd {
  if (call === undefined) return "none";
  return call.halfClosed ? "half_close_and_reset" : "reset";
}

function knownCounters(counters: Readonly<Record<string, number>>): Counters {
  const known = zeroCounters();
  for (const name of Object.keys(known) as (keyof Counters)[]) known[name] = counters[name] ?? 0;
  return known;
}

function received([name, value]: WireField): ReceivedHeader {
  return [name, Uint8Array.from(Buffer.from(value, "latin1"))];
}

function bytes(chunks: readonly Buffer[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(chunks));
}
