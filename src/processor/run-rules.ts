import { protectsLength } from "../protocol/answers/content-length.ts";
import { declareEnvoy, ENVOY_DEFAULTS, type EnvoyDeclaration } from "../protocol/envoy-declaration.ts";
import type { DeclaredEnvoySettings } from "../protocol/envoy-settings.ts";
import type { Fault } from "../protocol/fault.ts";
import { DIRECTIONS, type Direction, directionOf, isBodyPhase, PHASES, type Phase } from "../protocol/phase.ts";
import { type BodyClaims, bodyClaims } from "./body-claims.ts";
import {
  type AnyDefinition,
  DEFAULT_TIMEOUT_MS,
  definitionsOf,
  type FaultPolicy,
  type Processor,
} from "./definition.ts";
import { type HandlerTimeout, handlerTimeout } from "./handler-timeout.ts";
import { RouteConfigs } from "./route-config.ts";

/** What an operator can configure for processors, as in the configuration file. */
export interface OperatorOptions {
  /** The settings of Envoy's filter, because Envoy does not send them. Default: Envoy's own defaults. */
  readonly envoy?: DeclaredEnvoySettings | undefined;
  /** The loosest allowed policy for faults. A processor's own `onFault` can be stricter. Default: `open`, which allows all. */
  readonly onFault?: FaultPolicy | undefined;
  /**
   * True: handlers run, every message passes unchanged, and the server logs and counts what would have happened.
   * Default: false.
   */
  readonly shadow?: boolean | undefined;
  /** Settings of single processors, by name. */
  readonly processors?: Readonly<Record<string, ProcessorOverride>> | undefined;
}

/** The operator's settings of one processor. */
export interface ProcessorOverride {
  /** The loosest fault policy that is allowed for this processor. */
  readonly onFault?: FaultPolicy | undefined;
  /** Replaces the definition's `timeoutMs`. */
  readonly timeoutMs?: number | undefined;
}

/** One part of a composed processor, with its settings after the operator's changes. */
export interface RunRule {
  readonly definition: AnyDefinition;
  readonly onFault: FaultPolicy;
  /** The timeout that the author or the operator asked for. */
  readonly wantedTimeoutMs: number;
  readonly limit: HandlerTimeout;
}

/** The rules of all transactions of a processor. */
export interface RunRules {
  readonly declaration: EnvoyDeclaration;
  readonly shadow: boolean;
  readonly definitions: readonly AnyDefinition[];
  /** One rule for each definition, in the same order. */
  readonly rules: readonly RunRule[];
  /** The longest time that a definition may take for a message. */
  readonly longestTimeoutMs: number;
  /** The strictest policy of all, for faults that no processor caused. */
  readonly strictest: FaultPolicy;
  /** True if a definition has a handler of any phase of the response. */
  readonly handlesResponse: boolean;
  /** True if a definition has a `done` hook. */
  readonly hasDone: boolean;
  /** The directions whose bodies have handlers. */
  readonly claims: Readonly<Record<Direction, boolean>>;
  /** The body handlers, in the order in which they run; undefined if there are none. */
  readonly bodies: BodyClaims | undefined;
  /** The route configurations that were read so far; undefined if no definition has a schema for them. */
  readonly configs: RouteConfigs | undefined;
}

/** From the loosest to the strictest. Under `envoy` Envoy's configuration decides; the others leave no choice. */
const STRICTNESS: Readonly<Record<FaultPolicy, number>> = { open: 0, envoy: 1, closed: 2 };

const RESPONSE_PHASES = PHASES.filter((phase) => directionOf(phase) === "response");

/** Computes the rules of a processor, once. */
export function runRules(processor: Processor, operator: OperatorOptions = {}): RunRules {
  const { envoy, onFault, shadow = false, processors = {} } = operator;
  const declaration = envoy ? declareEnvoy(envoy) : ENVOY_DEFAULTS;
  const definitions = definitionsOf(processor);
  const rules = definitions.map((definition): RunRule => {
    const override = Object.hasOwn(processors, definition.name) ? processors[definition.name] : undefined;
    const own = stricterPolicy(definition.onFault ?? "envoy", onFault);
    const wantedTimeoutMs = override?.timeoutMs ?? definition.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    return {
      definition,
      onFault: stricterPolicy(own, override?.onFault),
      wantedTimeoutMs,
      limit: handlerTimeout(wantedTimeoutMs, declaration),
    };
  });
  const strictest = rules.reduce<FaultPolicy>((policy, rule) => stricterPolicy(policy, rule.onFault), "open");
  const longestTimeoutMs = Math.max(...rules.map(({ limit }) => limit.timeoutMs));
  const hasDone = rules.some(({ definition }) => definition.done !== undefined);
  const handlesResponse = definitions.some((definition) => RESPONSE_PHASES.some((phase) => handles(definition, phase)));
  const bodies = bodyClaims(definitions);
  const claims = { request: (bodies?.request.length ?? 0) > 0, response: (bodies?.response.length ?? 0) > 0 };
  return {
    declaration,
    shadow,
    definitions,
    rules,
    longestTimeoutMs,
    strictest,
    handlesResponse,
    hasDone,
    claims,
    bodies,
    configs: definitions.some(({ config }) => config !== undefined) ? new RouteConfigs(definitions) : undefined,
  };
}

/**
 * Returns the policy for a fault: the strictest policy of the failed processor and of those whose handlers would be
 * skipped if the message passed, because the failure of one processor must not disable another one's protection. If no
 * processor failed, it is the strictest policy of all.
 *
 * @param mayRun Whether handlers of a phase run, or may still be called.
 */
export function policyFor(
  runs: RunRules,
  { processor, code, phase }: Fault,
  mayRun: (phase: Phase) => boolean,
): FaultPolicy {
  const { rules, strictest } = runs;
  const isUnread = code === "message_too_large" || code === "message_memory_exceeded";
  if (isUnread && mustSee(runs, phase, mayRun)) return "closed";
  // The author chose `reject` instead of `pass`, and that is the policy.
  if (code === "body_too_large" || code === "body_memory_exceeded") return "closed";
  // Under failure_mode_allow a gRPC error would let the body pass unseen.
  if (code === "body_stalled") return "closed";
  const blamed = rules.find(({ definition }) => definition.name === processor);
  if (blamed === undefined) return strictest;
  return rules
    .filter(({ definition }) => PHASES.some((phase) => handles(definition, phase) && mayRun(phase)))
    .reduce((policy, { onFault }) => stricterPolicy(policy, onFault), blamed.onFault);
}

/**
 * True if a handler must see a message that is not read. An unknown message counts as a body, or as the request headers
 * if those did not come.
 */
function mustSee({ rules, claims }: RunRules, phase: Phase | undefined, mayRun: (phase: Phase) => boolean): boolean {
  if (phase !== undefined) return rules.some(({ definition }) => handles(definition, phase));
  if (claims.request || claims.response) return true;
  return mayRun("requestHeaders") && rules.some(({ definition }) => handles(definition, "requestHeaders"));
}

/** True if a definition has a handler of a phase. */
export function handles(definition: AnyDefinition, phase: Phase): boolean {
  return definition[phase] !== undefined || (definition.grpc !== undefined && isBodyPhase(phase));
}

/** Returns the names of the processors that have a handler of a phase. */
export function namesOfHandlers({ definitions }: RunRules, phase: Phase): string {
  const handling = definitions.filter((definition) => handles(definition, phase));
  return handling.map(({ name }) => name).join("+");
}

/** Says which wishes of the operator and the authors cannot be met, one line each. */
export function ruleWarnings(
  rulesOf: RunRules,
  processors: Readonly<Record<string, ProcessorOverride>> = {},
): string[] {
  const { rules, declaration } = rulesOf;
  const warnings: string[] = [];
  for (const { definition, onFault, wantedTimeoutMs, limit } of rules) {
    const { name } = definition;
    if (limit.timeoutMs < wantedTimeoutMs) {
      const { messageTimeoutMs, maxMessageTimeoutMs } = declaration;
      warnings.push(
        `processor "${name}": its timeoutMs of ${wantedTimeoutMs} is cut to ${limit.timeoutMs}: Envoy is declared to wait ` +
          `messageTimeoutMs ${messageTimeoutMs}, maxMessageTimeoutMs ${maxMessageTimeoutMs}; declare more if it does`,
      );
    }
    const asked = Object.hasOwn(processors, name) ? processors[name]?.onFault : undefined;
    if (asked !== undefined && asked !== onFault) {
      warnings.push(
        `processor "${name}": onFault stays "${onFault}": "${asked}" is looser, and it can only be tightened`,
      );
    }
  }
  return [...warnings, ...protectedLengths(rulesOf)];
}

/**
 * Says which body handlers cannot change the length of a body in BUFFERED, because of the declared `mutation_rules`,
 * one line each.
 */
function protectedLengths({ bodies, definitions, declaration }: RunRules): string[] {
  const refusal = protectsLength(declaration.mutationRules);
  if (refusal === undefined || bodies === undefined) return [];
  return DIRECTIONS.flatMap((direction) =>
    bodies[direction]
      .filter(({ handler }) => handler.read !== "inspect" && handler.read !== "grpc")
      .map(
        ({ index }) =>
          `processor "${definitions[index]?.name}": its ${direction}Body cannot change the length of a body in BUFFERED. ` +
          `${refusal}; or configure STREAMED or FULL_DUPLEX_STREAMED`,
      ),
  );
}

/** Says which policies cannot be enforced under the declaration, one line each. */
export function unenforceable({ rules, shadow, declaration }: RunRules): string[] {
  const { failureModeAllow, disableImmediateResponse } = declaration;
  if (shadow) return ["shadow: effects of processors are ignored"];
  return rules.flatMap(({ definition, onFault }) => {
    const policy = `processor "${definition.name}": onFault "${onFault}"`;
    if (onFault === "closed" && disableImmediateResponse) {
      const outcome = failureModeAllow ? "and failureModeAllow lets the request pass" : "which Envoy turns into a 500";
      return [`${policy} can only be a gRPC error under disableImmediateResponse, ${outcome}`];
    }
    if (onFault === "closed" && failureModeAllow)
      return [
        `${policy} applies until the response headers are sent; after that failureModeAllow lets the response pass`,
      ];
    return [];
  });
}

/** Returns the stricter of two policies. An undefined policy has no effect. */
export function stricterPolicy(policy: FaultPolicy, other: FaultPolicy | undefined): FaultPolicy {
  return other !== undefined && STRICTNESS[other] > STRICTNESS[policy] ? other : policy;
}
