import { protectsLength } from "../protocol/answers/protected-length.ts";
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
import { type TimeLimit, timeLimit } from "./time-limit.ts";

/** What the operator says of how processors run. */
export interface RunOptions {
  /** Of Envoy's side. Default: Envoy's own defaults. */
  readonly declaration?: DeclaredEnvoySettings | undefined;
  /** The loosest fault policy that is allowed; a processor's own may be stricter. Default: `open`, which allows all. */
  readonly onFault?: FaultPolicy | undefined;
  /** Handlers run, but everything passes unchanged. Default: false. */
  readonly shadow?: boolean | undefined;
  /** Of single processors, by their names. */
  readonly processors?: Readonly<Record<string, ProcessorOverride>> | undefined;
}

/** What the operator says of one processor. */
export interface ProcessorOverride {
  /** As `onFault` of {@link RunOptions}, for this one. */
  readonly onFault?: FaultPolicy | undefined;
  /** In place of the definition's `timeoutMs`. */
  readonly timeoutMs?: number | undefined;
}

/** One part of a composed processor, with what holds for it after the operator's word. */
export interface RunRule {
  readonly definition: AnyDefinition;
  readonly onFault: FaultPolicy;
  /** What the author, or the operator, asked for. */
  readonly wantedTimeoutMs: number;
  readonly limit: TimeLimit;
}

/** What all transactions of a processor go by. */
export interface RunRules {
  readonly declaration: EnvoyDeclaration;
  readonly shadow: boolean;
  readonly definitions: readonly AnyDefinition[];
  /** In the order of the definitions. */
  readonly rules: readonly RunRule[];
  /** The longest that any of the definitions may take for a message. */
  readonly longestTimeoutMs: number;
  /** For faults that no processor is to blame for: the strictest of all. */
  readonly strictest: FaultPolicy;
  /** A definition has a handler of the response, of any phase. */
  readonly handlesResponse: boolean;
  /** A definition wants to hear of the end of transactions. */
  readonly hasDone: boolean;
  /** The directions whose bodies have handlers. */
  readonly claims: Readonly<Record<Direction, boolean>>;
  /** The handlers of bodies, in the order in which they run; undefined where there are none. */
  readonly bodies: BodyClaims | undefined;
}

/** From the loosest to the strictest: under `envoy` Envoy's configuration decides, the others leave no choice. */
const STRICTNESS: Readonly<Record<FaultPolicy, number>> = { open: 0, envoy: 1, closed: 2 };

const RESPONSE_PHASES = PHASES.filter((phase) => directionOf(phase) === "response");

/** Works out the rules of a processor, once. */
export function runRules(processor: Processor, options: RunOptions = {}): RunRules {
  const { onFault, shadow = false, processors = {} } = options;
  const declaration = options.declaration ? declareEnvoy(options.declaration) : ENVOY_DEFAULTS;
  const definitions = definitionsOf(processor);
  const rules = definitions.map((definition): RunRule => {
    const override = Object.hasOwn(processors, definition.name) ? processors[definition.name] : undefined;
    const own = stricterPolicy(definition.onFault ?? "envoy", onFault);
    const wantedTimeoutMs = override?.timeoutMs ?? definition.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    return {
      definition,
      onFault: stricterPolicy(own, override?.onFault),
      wantedTimeoutMs,
      limit: timeLimit(wantedTimeoutMs, declaration),
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
  };
}

const known = new WeakMap<Processor, RunRules>();

/** The rules of a processor whose operator said nothing. */
export function defaultRunRules(processor: Processor): RunRules {
  const rules = known.get(processor) ?? runRules(processor);
  known.set(processor, rules);
  return rules;
}

/**
 * The policy for a fault: the strictest of the processor to blame and of those whose handlers a message that passes would
 * pass by, for one processor's failure must not open what another guards. Of all where none is to blame.
 *
 * @param mayRun Whether handlers of a phase are at work, or may still be called.
 */
export function policyFor(
  runs: RunRules,
  { processor, code, phase }: Fault,
  mayRun: (phase: Phase) => boolean,
): FaultPolicy {
  const { rules, strictest } = runs;
  const isUnread = code === "message_too_large" || code === "message_memory_exceeded";
  if (isUnread && mustSee(runs, phase, mayRun)) return "closed";
  // Its author chose `reject` over `pass`, and that is the policy.
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
 * True if a handler must see a message that is not read. A message of which nothing is known is taken for a
 * body, or for the request headers if those did not come.
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

/** The processors that have a handler of a phase, by their names. */
export function namesOfHandlers({ definitions }: RunRules, phase: Phase): string {
  const handling = definitions.filter((definition) => handles(definition, phase));
  return handling.map(({ name }) => name).join("+");
}

/** What of the operator's and the authors' wishes cannot be had, in a line each. */
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
          `messageTimeoutMs ${messageTimeoutMs}, maxMessageTimeoutMs ${maxMessageTimeoutMs}; declare more where it does`,
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

/** The body handlers that declared `mutation_rules` keep from changing a body's length in BUFFERED, in a line each. */
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

/** What processors' policies cannot hold to under the declaration, in a line each. */
export function unenforceable({ rules, shadow, declaration }: RunRules): string[] {
  const { failureModeAllow, disableImmediateResponse } = declaration;
  if (shadow) return ["shadow: nothing that processors want happens"];
  return rules.flatMap(({ definition, onFault }) => {
    const policy = `processor "${definition.name}": onFault "${onFault}"`;
    if (onFault === "closed" && disableImmediateResponse) {
      const outcome = failureModeAllow ? "and failureModeAllow lets the request pass" : "which Envoy makes a 500 of";
      return [`${policy} can only be a gRPC error under disableImmediateResponse, ${outcome}`];
    }
    if (onFault === "closed" && failureModeAllow)
      return [`${policy} holds until response headers are out; from then on failureModeAllow lets the response pass`];
    return [];
  });
}

/** The stricter of two policies. One that is undefined asks for nothing. */
export function stricterPolicy(policy: FaultPolicy, other: FaultPolicy | undefined): FaultPolicy {
  return other !== undefined && STRICTNESS[other] > STRICTNESS[policy] ? other : policy;
}
