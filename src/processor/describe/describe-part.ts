import type { OverLimit } from "../../memory/body-budget.ts";
import { type BodyPhase, PHASES, type Phase } from "../../protocol/phase.ts";
import { readsWhole } from "../body-claims.ts";
import type { AnyBodyHandler } from "../body-handler.ts";
import { DEFAULT_MAX_BYTES } from "../body-handler.ts";
import type { AnyDefinition, FaultPolicy } from "../definition.ts";
import type { RunRule } from "../run-rules.ts";

/** A body handler as plain data. */
export interface BodyHandlerDescription {
  readonly phase: BodyPhase;
  readonly read: AnyBodyHandler["read"];
  /** True if it reads only some bodies. */
  readonly hasWhen: boolean;
  /** Undefined: no limit. */
  readonly maxBytes: number | undefined;
  readonly overLimit: OverLimit;
  readonly encoding: "decoded" | "raw";
  readonly required: boolean;
}

/** The gRPC handlers as plain data. */
export interface GrpcDescription {
  /** The name of the service, with its package. */
  readonly service: string;
  /** The names of the methods that have handlers. */
  readonly methods: readonly string[];
  readonly maxBytes: number;
  readonly required: boolean;
}

/** One part of a composed processor as plain data. */
export interface PartDescription {
  readonly name: string;
  /** Phases with handlers, in Envoy's order. */
  readonly phases: readonly Phase[];
  readonly bodies: readonly BodyHandlerDescription[];
  readonly grpc: GrpcDescription | undefined;
  /** The policy after the operator's changes. */
  readonly onFault: FaultPolicy;
  /** True if the operator made the policy stricter. */
  readonly isTightened: boolean;
  /** The timeout after it was limited to what Envoy, as declared, waits for. */
  readonly timeoutMs: number;
  /** When the server asks Envoy for more time; undefined: never. */
  readonly extendsAfterMs: number | undefined;
  readonly lifeCycle: readonly ("setup" | "done" | "close")[];
  /** True if routes may configure it. */
  readonly hasConfig: boolean;
}

const HOOKS = ["setup", "done", "close"] as const;
const BODY_PHASES = ["requestBody", "responseBody"] as const;

/** Describes one part of a processor as plain data. */
export function describePart({ definition, onFault, limit }: RunRule): PartDescription {
  return {
    name: definition.name,
    phases: PHASES.filter((phase) => definition[phase] !== undefined),
    bodies: BODY_PHASES.flatMap((phase) => describeBody(definition, phase)),
    grpc: describeGrpc(definition),
    onFault,
    isTightened: onFault !== (definition.onFault ?? "envoy"),
    timeoutMs: limit.timeoutMs,
    extendsAfterMs: limit.extension?.afterMs,
    lifeCycle: HOOKS.filter((hook) => definition[hook] !== undefined),
    hasConfig: definition.config !== undefined,
  };
}

function describeBody(definition: AnyDefinition, phase: BodyPhase): readonly BodyHandlerDescription[] {
  const handler = definition[phase] as AnyBodyHandler | undefined;
  if (handler === undefined) return [];
  const { read, when, maxBytes, overLimit = "reject", encoding = "decoded", required = false } = handler;
  return [
    {
      phase,
      read,
      hasWhen: when !== undefined,
      maxBytes: maxBytes ?? (readsWhole(handler) ? DEFAULT_MAX_BYTES : undefined),
      overLimit,
      encoding,
      required,
    },
  ];
}

function describeGrpc({ grpc }: AnyDefinition): GrpcDescription | undefined {
  if (grpc === undefined) return undefined;
  const { service, methods, maxBytes = DEFAULT_MAX_BYTES, required = false } = grpc;
  const names = Object.entries(methods).filter(([, handlers]) => handlers !== undefined);
  return { service: service.typeName, methods: names.map(([name]) => name), maxBytes, required };
}
