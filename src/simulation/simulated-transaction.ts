import type { JsonObject } from "@bufbuild/protobuf";
import type { Fault } from "../protocol/fault.ts";
import type { HandlerPlace } from "../session/session-observer.ts";
import type { Counters } from "../simulator/report/counters.ts";
import type { ClientReport, HttpReport, ReceivedHeader, UpstreamReport, Warning } from "../simulator/report/report.ts";
import { utf8Only } from "../text/escaped-text.ts";
import { bytesToText } from "../wire/header-text.ts";

/** Headers by lower-case name: the value, or an array of the values of a header that came more than once. */
export type ReceivedHeaders = Readonly<Record<string, string | readonly string[]>>;

/** An HTTP message as it was received. */
export interface ReceivedMessage {
  /** Without pseudo-headers. Text as `header()` reads it: a byte that is not UTF-8 is a lone surrogate. */
  readonly headers: ReceivedHeaders;
  /** The body as text: UTF-8, or latin1 if the bytes are not UTF-8. Empty if there is none. */
  readonly body: string;
  /** The body's exact bytes. */
  readonly bytes: Uint8Array;
  /** The parsed body, if `content-type` says that it is JSON and the body is valid JSON; otherwise undefined. */
  readonly json: unknown;
  /** The trailers, read like the headers. Empty if there are none. */
  readonly trailers: ReceivedHeaders;
}

/** The request, as the upstream got it. */
export interface UpstreamRequest extends ReceivedMessage {
  /** `:method`, as the processor left it. */
  readonly method: string;
  /** `:scheme`. */
  readonly scheme: string;
  /** `:authority`. */
  readonly authority: string;
  /** `:path`, with its query. */
  readonly path: string;
  /** The name of the selected route; `default` if the test gave no routes. */
  readonly route: string;
  /** False if the upstream still waited for more of the request when the transaction was over. */
  readonly complete: boolean;
}

/** The response, as the client got it. */
export interface ClientResponse extends ReceivedMessage {
  /** Undefined if the client was cut off before it got a status. */
  readonly status: number | undefined;
  /**
   * `complete`: the client got everything. `reset`: Envoy cut the client off. `aborted`: the client left. `stalled`:
   * the client waits for more that will not come.
   */
  readonly end: ClientReport["end"];
}

/** One HTTP transaction through the simulated Envoy, as plain values. */
export interface SimulatedTransaction {
  /** Undefined if the upstream got no request. */
  readonly request: UpstreamRequest | undefined;
  /** What the client got. */
  readonly response: ClientResponse;
  /**
   * Changes that Envoy dropped or would break on, effects that no handler returned (`effect_not_returned`), and answers
   * that Envoy did not wait for (`answer_not_awaited`), each with the rule and a solution. Empty for a correct
   * processor.
   */
  readonly warnings: readonly Warning[];
  /**
   * Why processors failed, including their `done` hooks. The fault policy decided what happened then. Empty for a
   * server that is reached over gRPC.
   */
  readonly faults: readonly Fault[];
  /** Counters of Envoy's filter, without those that are 0: `{ streams_started: 1, stream_msgs_sent: 2, … }`. */
  readonly counters: Partial<Counters>;
  /** Dynamic metadata at the end, by namespace. */
  readonly metadata: Readonly<Record<string, JsonObject>>;
  /** `%RESPONSE_CODE_DETAILS%` of Envoy's access log. */
  readonly details: string;
  /** From the client's headers to the end, in milliseconds of the simulated clock. */
  readonly durationMs: number;
  /** All that the simulator knows: each message in both directions, the exact bytes of each header, typed metadata. */
  readonly report: HttpReport;
}

/** What only the server's side knows about a transaction. */
interface ServerReport {
  readonly faults: readonly Fault[];
  readonly warnings?: readonly Warning[];
  readonly unanswered?: HandlerPlace | undefined;
}

/**
 * Converts the simulator's report to plain values.
 *
 * @param unreturned Warnings about effects that no handler returned. If there is a fault they are left out, because the
 * fault explains them.
 */
export function simulatedTransaction(
  report: HttpReport,
  { faults, warnings = [], unanswered }: ServerReport,
  unreturned: readonly Warning[] = [],
): SimulatedTransaction {
  const { upstream, client, counters } = report;
  return {
    request: upstream && upstreamRequest(upstream),
    response: { status: client.status, ...receivedMessage(client), end: client.end },
    warnings: [
      ...report.warnings,
      ...warnings,
      ...notAwaited(report, unanswered),
      ...(faults.length > 0 ? [] : unreturned),
    ],
    faults,
    counters: Object.fromEntries(Object.entries(counters).filter(([, count]) => count > 0)),
    metadata: report.dynamicMetadata,
    details: report.responseCodeDetails,
    durationMs: report.durationMs,
    report,
  };
}

/**
 * Returns a warning if Envoy continued without an answer, although the client did not disconnect and did not get a
 * local reply.
 */
function notAwaited(report: HttpReport, unanswered: HandlerPlace | undefined): readonly Warning[] {
  const wentOn = report.responseCodeDetails === "via_upstream" && report.client.end !== "aborted";
  if (unanswered === undefined || !wentOn) return [];
  const { processor, phase, setting } = unanswered;
  const rule = `Envoy went on without the answer of processor "${processor}" to ${phase}`;
  return [{ code: "answer_not_awaited", phase, header: undefined, rule, wayOut: setting }];
}

/** Converts what the upstream got to plain values. */
export function upstreamRequest(upstream: UpstreamReport): UpstreamRequest {
  const pseudo = new Map(upstream.headers.filter(isPseudo).map(([name, value]) => [name, bytesToText(value)]));
  return {
    method: pseudo.get(":method") ?? "",
    scheme: pseudo.get(":scheme") ?? "",
    authority: pseudo.get(":authority") ?? "",
    path: pseudo.get(":path") ?? "",
    ...receivedMessage(upstream),
    route: upstream.route,
    complete: upstream.end === "complete",
  };
}

function receivedMessage(received: UpstreamReport | ClientReport): ReceivedMessage {
  const headers = receivedHeaders(received.headers.filter((line) => !isPseudo(line)));
  const body = utf8Only(received.body) ?? Buffer.from(received.body).toString("latin1");
  const { "content-type": type } = headers;
  return {
    headers,
    body,
    bytes: received.body,
    json: typeof type === "string" && /^[^;]*[/+]json\s*(?:;|$)/i.test(type) ? parsed(body) : undefined,
    trailers: receivedHeaders(received.trailers),
  };
}

function receivedHeaders(lines: readonly ReceivedHeader[]): ReceivedHeaders {
  // A client can send a header named __proto__.
  const headers: Record<string, string | readonly string[]> = Object.create(null);
  for (const [name, value] of lines) {
    const text = bytesToText(value);
    const before = headers[name];
    headers[name] = before === undefined ? text : [before, text].flat();
  }
  return { ...headers };
}

function isPseudo([name]: ReceivedHeader): boolean {
  return name.startsWith(":");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
