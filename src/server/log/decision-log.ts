import type { HttpHeaders, ProcessingRequest } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { header } from "../../protocol/headers/headers.ts";
import type { Decision, DecisionLog } from "../../session/decision.ts";
import { shortened } from "./bounded-log.ts";
import { LineLimiter } from "./line-limiter.ts";
import type { Logger } from "./logger.ts";

/** Options of the decision log: which transactions get a line, and which values it includes. */
export interface DecisionLogOptions {
  /** Share of transactions, from 0 to 1. */
  readonly sample: number;
  /** Envoy attributes whose values are logged. Default: none. */
  readonly attributes?: readonly string[] | undefined;
  /** Most lines a second. Default: 100. */
  readonly maxPerSecond?: number | undefined;
}

const DEFAULT_MAX_PER_SECOND = 100;
/** The share of these lines that is reserved for transactions in which a handler or the server failed. */
const KEPT_SHARE = 1 / 5;
/** Longest text from a request or a response. Longer texts are cut. */
const MAX_CHARACTERS = 256;

/**
 * Writes one line for each transaction of the sample: names of what was changed, never values; the path without its
 * query; and the values of the attributes that the operator named.
 *
 * The `x-request-id` decides whether a transaction belongs to the sample, so every server and every filter chooses the
 * same transactions. Without that header the choice is random.
 */
export class SampledDecisionLog implements DecisionLog {
  readonly #log: Logger;
  readonly #options: DecisionLogOptions;
  readonly #limiter: LineLimiter;
  readonly #kept: number;
  #leftOut = 0;

  constructor(log: Logger, options: DecisionLogOptions, now?: () => number) {
    this.#log = log;
    this.#options = options;
    const maxPerSecond = options.maxPerSecond ?? DEFAULT_MAX_PER_SECOND;
    this.#limiter = new LineLimiter(now, maxPerSecond);
    this.#kept = Math.floor(maxPerSecond * KEPT_SHARE);
  }

  samples({ request }: ProcessingRequest): boolean {
    const id = request.case === "requestHeaders" ? header(request.value, "x-request-id") : undefined;
    return (id === undefined ? Math.random() : shareOf(id)) < this.#options.sample;
  }

  /** Lines that were not written, because there were too many in that second. */
  get leftOut(): number {
    return this.#leftOut;
  }

  record(decision: Decision): void {
    const isOurs = decision.fault !== undefined && decision.fault.source !== "envoy";
    const line = this.#limiter.next(isOurs ? 0 : this.#kept);
    if (line === undefined) {
      this.#leftOut++;
      return;
    }
    const { trail, result, fault, faultOutcome, durationMs, scope, pretended } = decision;
    const { origin, exchange } = scope;
    const [request, response] = [exchange.headers("request"), exchange.headers("response")];
    const attributes = (this.#options.attributes ?? []).flatMap((name) => {
      const value = exchange.attribute(name);
      return value === undefined ? [] : [[name, shortValue(value)] as const];
    });
    const fields = {
      origin,
      result,
      ...(pretended && { pretended }),
      method: request && shortHeader(request, ":method"),
      path: request && pathOf(header(request, ":path")),
      status: response && shortHeader(response, ":status"),
      durationMs: Math.round(durationMs * 1000) / 1000,
      answers: trail,
      ...(fault && { fault: fault.code, processor: fault.processor, outcome: faultOutcome }),
      ...(attributes.length > 0 && { attributes: Object.fromEntries(attributes) }),
      ...line,
    };
    this.#log.info(fields, "Decision");
  }
}

function pathOf(path: string | undefined): string | undefined {
  return path?.replace(/[?#].*$/s, "").slice(0, MAX_CHARACTERS);
}

function shortValue(value: unknown): unknown {
  return typeof value === "string" ? shortened(value, MAX_CHARACTERS) : value;
}

function shortHeader(headers: HttpHeaders, name: string): string | undefined {
  const value = header(headers, name);
  return value === undefined ? undefined : shortened(value, MAX_CHARACTERS);
}

/**
 * A number from 0 to 1 for an id, the same on every server (FNV-1a with mixed bits, so that similar ids have different
 * numbers).
 */
function shareOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < id.length; index++) hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
