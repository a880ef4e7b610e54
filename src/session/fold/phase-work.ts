import type { JsonObject } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { HeaderMap, HeaderValue } from "../../../gen/envoy/config/core/v3/base_pb.js";
import type { EffectPlace } from "../../processor/effect.ts";
import type { ContinueAnswer } from "../../protocol/answers/answer.ts";
import type { Exchange } from "../../protocol/exchange/exchange.ts";
import type { HeaderChange } from "../../protocol/headers/header-mutation.ts";
import { headerFields } from "../../protocol/headers/headers.ts";
import { WorkingHead } from "../../protocol/headers/working-head.ts";
import type { ModeOverride } from "../../protocol/mode-override.ts";
import { directionOf, type PhaseMessage } from "../../protocol/phase.ts";

const NO_CHANGES: HeaderChange[] = [];

/** What the handlers of one phase want, added up as they run; as it stands it is the answer. */
export class PhaseWork implements ContinueAnswer {
  readonly kind = "continue";
  readonly message: PhaseMessage;
  readonly exchange: Exchange;
  /** Where what is returned now is returned. */
  place: EffectPlace;
  /** The body that takes the place of the one that comes, on headers. */
  wholeBody: Uint8Array | undefined = undefined;
  clearRouteCache = false;
  modeOverride: ModeOverride | undefined = undefined;
  /** The modes that effects named, whether or not those change anything. */
  chosenModes: ModeOverride | undefined = undefined;
  dynamicMetadata: Record<string, JsonObject> | undefined = undefined;
  typedDynamicMetadata: Record<string, Any> | undefined = undefined;
  /** How many changes are constants. */
  #constants = 0;
  #changes: HeaderChange[] = NO_CHANGES;
  #head: WorkingHead | undefined;

  constructor(message: PhaseMessage, exchange: Exchange) {
    this.message = message;
    this.place = message.case;
    this.exchange = exchange;
  }

  get headerChanges(): readonly HeaderChange[] {
    return this.#changes;
  }

  /** The headers or trailers with what was changed so far. */
  get head(): WorkingHead {
    this.#head ??= this.#openHead([]);
    return this.#head;
  }

  get isConstant(): boolean {
    return this.#constants > 0 && this.#constants === this.#changes.length;
  }

  /** Adds a change that is the same object each time. */
  changeKnown(change: HeaderChange): void {
    this.#constants++;
    this.change(change);
  }

  /** Adds a change. From here on everybody who looks sees it. */
  change(change: HeaderChange): void {
    if (this.#head === undefined) this.#head = this.#openHead([change]);
    else this.#changes.push(change);
  }

  /** The message as the handlers before left it: Envoy's own while nothing changed. */
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

  /** Most phases change one header: an array that begins with it needs no room for 16 more, as one that grows makes. */
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
