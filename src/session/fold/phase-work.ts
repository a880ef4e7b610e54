import type { JsonObject } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { HeaderMap, HeaderValue } from "../../../gen/envoy/config/core/v3/base_pb.js";
import type { EffectPlace } from "../../processor/effect.ts";
import type { ContinueAnswer } from "../../protocol/answers/answer.ts";
import type { MessageExchange } from "../../protocol/exchange/exchange.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import type { HeaderChange } from "../../protocol/headers/header-mutation.ts";
import { headerFields } from "../../protocol/headers/headers.ts";
import { refuseByMutationRules } from "../../protocol/headers/mutation-rules.ts";
import { WorkingHead } from "../../protocol/headers/working-head.ts";
import type { ModeOverride } from "../../protocol/mode-override.ts";
import { directionOf, type PhaseMessage } from "../../protocol/phase.ts";

const NO_CHANGES: HeaderChange[] = [];

/** Collects what the handlers of one phase want. The object itself is the answer. */
export class PhaseWork implements ContinueAnswer {
  readonly kind = "continue";
  readonly message: PhaseMessage;
  readonly exchange: MessageExchange;
  /** The place whose handler returns effects now. */
  place: EffectPlace;
  /** The body that replaces the incoming body; set by an effect on headers. */
  wholeBody: Uint8Array | undefined = undefined;
  clearRouteCache = false;
  modeOverride: ModeOverride | undefined = undefined;
  /** The modes that effects named, even if they change nothing. */
  chosenModes: ModeOverride | undefined = undefined;
  dynamicMetadata: Record<string, JsonObject> | undefined = undefined;
  typedDynamicMetadata: Record<string, Any> | undefined = undefined;
  #changes: HeaderChange[] = NO_CHANGES;
  #head: WorkingHead | undefined;

  constructor(message: PhaseMessage, exchange: MessageExchange) {
    this.message = message;
    this.place = message.case;
    this.exchange = exchange;
  }

  get headerChanges(): readonly HeaderChange[] {
    return this.#changes;
  }

  /** The headers or trailers, with the changes made so far. */
  get head(): WorkingHead {
    this.#head ??= this.#openHead([]);
    return this.#head;
  }

  /** Adds a change. Later handlers see it. */
  change(change: HeaderChange): void {
    if (this.#head === undefined) this.#head = this.#openHead([change]);
    else this.#changes.push(change);
  }

  /** The message as earlier handlers left it. It is Envoy's own object while nothing has changed. */
  get currentMessage(): PhaseMessage["value"] {
    const { case: phase, value } = this.message;
    if (this.#changes.length === 0) return value;
    const entries = [...this.head.entries];
    switch (phase) {
      case "requestHeaders":
      case "responseHeaders":
        return { ...value, headers: withEntries(value.headers, entries) };
      case "requestTrailers":
      case "responseTrailers":
        return { ...value, trailers: withEntries(value.trailers, entries) };
      default:
        return value;
    }
  }

  /**
   * Most phases change one header. An array that starts with one element uses less memory than one that grows, which
   * reserves 16 more.
   */
  #openHead(changes: HeaderChange[]): WorkingHead {
    const { case: phase, value } = this.message;
    this.#changes = changes;
    return phase === "requestTrailers" || phase === "responseTrailers"
      ? new WorkingHead(headerFields(value), this.#changes)
      : this.exchange.changeHead(directionOf(phase), this.#changes);
  }
}

function withEntries(map: HeaderMap | undefined, headers: HeaderValue[]): HeaderMap {
  return map ? { ...map, headers } : { $typeName: "envoy.config.core.v3.HeaderMap", headers };
}

/**
 * Removes headers that exist and that no handler has set in this answer. Headers that Envoy's `mutation_rules`, as
 * declared, protect are kept.
 *
 * @returns A fault for the first header that is kept. The caller must return it if the message would be wrong with that
 * header.
 */
export function dropHeaders(work: PhaseWork, names: readonly string[]): Fault | undefined {
  let kept: Fault | undefined;
  for (const name of names) {
    if (work.headerChanges.some((change) => change.name === name)) continue;
    if (!work.head.has(name)) continue;
    const refusal = refuseByMutationRules({ name }, work.exchange.declaration.mutationRules);
    if (refusal === undefined) work.change({ op: "remove", name });
    else kept ??= fault("mutation_not_allowed", `the changed body needs another ${name}: ${refusal}`);
  }
  return kept;
}
