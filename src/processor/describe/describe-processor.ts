import { DIRECTIONS, type Direction, type Phase } from "../../protocol/phase.ts";
import { type BodyClaim, hasTail } from "../body-claims.ts";
import { type RunRules, unenforceable } from "../run-rules.ts";
import { describePart, type PartDescription } from "./describe-part.ts";
import {
  type BodyModeNeed,
  bodyModeNeed,
  claimName,
  type FilterSettingNeed,
  filterSettings,
  isWhole,
} from "./describe-settings.ts";

/** A field of Envoy's `processing_mode`. */
export type ModeField =
  | "request_header_mode"
  | "response_header_mode"
  | "request_body_mode"
  | "response_body_mode"
  | "request_trailer_mode"
  | "response_trailer_mode";

/** The value that a field of `processing_mode` must have for a processor. */
export interface ModeNeed {
  readonly field: ModeField;
  /** Envoy's name of the mode, such as `SEND` or `BUFFERED`. */
  readonly mode: string;
  /** Which handlers need it, a line each. */
  readonly why: readonly string[];
  /** Other modes that work too, each with its condition. */
  readonly alternatives: readonly { readonly mode: string; readonly where: string }[];
}

/** Two body handlers of a direction that cannot share a mode. */
export interface ModeConflict {
  readonly direction: Direction;
  /** The names of the processors. */
  readonly processors: readonly [string, string];
  readonly why: string;
}

/** A processor as plain data: what it handles, which settings of Envoy it needs, and which needs cannot be met. */
export interface ProcessorDescription {
  /** Its name. The name of a composed processor consists of the names of its parts with `+` between them. */
  readonly name: string;
  /** Its parts, in the order in which they see a request. */
  readonly parts: readonly PartDescription[];
  /** The modes that work for all parts, in the order of Envoy's fields. */
  readonly processingMode: readonly ModeNeed[];
  /** The other settings that Envoy's filter and listener need. */
  readonly filterSettings: readonly FilterSettingNeed[];
  readonly conflicts: readonly ModeConflict[];
  /** What cannot be enforced, one line each. */
  readonly unenforceable: readonly string[];
}

/** Describes which settings of Envoy a processor needs, and why. No code of the processor runs. */
export function describeProcessor(rules: RunRules): ProcessorDescription {
  const bodies = {
    request: needOf(rules, "request"),
    response: needOf(rules, "response"),
  };
  return {
    name: rules.definitions.map(({ name }) => name).join("+"),
    parts: rules.rules.map(describePart),
    processingMode: processingMode(rules, bodies),
    filterSettings: filterSettings(rules, bodies),
    conflicts: DIRECTIONS.flatMap((direction) => conflictsOf(rules, direction)),
    unenforceable: [...unenforceable(rules), ...unseenBodies(rules), ...lateFaults(rules, bodies.response)],
  };
}

type BodyNeedOf = Readonly<Record<Direction, BodyModeNeed>>;

function claimsOf({ bodies }: RunRules, direction: Direction): readonly BodyClaim[] {
  return bodies?.[direction] ?? [];
}

function nameIn({ definitions }: RunRules, direction: Direction): (claim: BodyClaim) => string {
  return (claim) => claimName(claim, definitions[claim.index]?.name ?? "", direction);
}

function needOf(rules: RunRules, direction: Direction): BodyModeNeed {
  const need = bodyModeNeed(claimsOf(rules, direction), rules.declaration, nameIn(rules, direction));
  if (need.mode !== "FULL_DUPLEX_STREAMED" || !rules.declaration.allowModeOverride) return need;
  // Envoy ignores overrides if FULL_DUPLEX_STREAMED is configured. From STREAMED an override can ask for it.
  const where = "allow_mode_override is neither set nor declared";
  return {
    mode: "STREAMED",
    why: [...need.why, "FULL_DUPLEX_STREAMED is asked for by an override, as declared"],
    alternatives: [{ mode: "FULL_DUPLEX_STREAMED", where }],
  };
}

function processingMode(rules: RunRules, bodies: BodyNeedOf): readonly ModeNeed[] {
  return [
    sendNeed("request_header_mode", requestHeaderReasons(rules)),
    sendNeed("response_header_mode", responseHeaderReasons(rules)),
    { field: "request_body_mode", ...bodies.request },
    { field: "response_body_mode", ...bodies.response },
    sendNeed("request_trailer_mode", trailerReasons(rules, "request", bodies)),
    sendNeed("response_trailer_mode", trailerReasons(rules, "response", bodies)),
  ];
}

function sendNeed(field: ModeField, why: readonly string[]): ModeNeed {
  if (why.length > 0) return { field, mode: "SEND", why, alternatives: [] };
  const others = field.endsWith("header_mode") ? [{ mode: "SEND", where: "a handler reads these headers in tx" }] : [];
  return { field, mode: "SKIP", why: ["no handler needs them"], alternatives: others };
}

function handlersOf({ definitions }: RunRules, phase: Phase): string[] {
  return definitions.filter((definition) => definition[phase] !== undefined).map(({ name }) => `${name}.${phase}`);
}

/**
 * Returns the handlers that can read these headers in `tx`, of processors without a handler for the headers themselves.
 */
function headReaders({ definitions }: RunRules, direction: Direction, phases: readonly Phase[]): string[] {
  return definitions
    .filter((definition) => definition[`${direction}Headers`] === undefined)
    .filter(({ readsRequest }) => direction === "response" || readsRequest !== false)
    .flatMap((definition) =>
      phases
        .filter((phase) => definition[phase] !== undefined)
        .map((phase) => `${definition.name}.${phase}: it can read tx.${direction}`),
    );
}

function requestHeaderReasons(rules: RunRules): string[] {
  const request = claimsOf(rules, "request").map(nameIn(rules, "request"));
  const response = claimsOf(rules, "response").map(
    (claim) =>
      `${nameIn(rules, "response")(claim)}: ${claim.handler.read === "grpc" ? "they have its method" : "they say whether the response is to HEAD"}`,
  );
  return [
    ...handlersOf(rules, "requestHeaders"),
    ...headReaders(rules, "request", ["requestTrailers", "responseHeaders", "responseTrailers"]),
    ...request.map((name) => `${name}: they have its length and coding`),
    ...response,
  ];
}

function responseHeaderReasons(rules: RunRules): string[] {
  const claims = claimsOf(rules, "response").map(nameIn(rules, "response"));
  return [
    ...handlersOf(rules, "responseHeaders"),
    ...headReaders(rules, "response", ["responseTrailers"]),
    ...claims.map((name) => `${name}: they have its length, coding and status`),
  ];
}

function trailerReasons(rules: RunRules, direction: Direction, bodies: BodyNeedOf): string[] {
  const duplex = bodies[direction].mode === "FULL_DUPLEX_STREAMED";
  return [
    ...handlersOf(rules, `${direction}Trailers`),
    ...claimsOf(rules, direction)
      .filter(hasTail)
      .map(
        (claim) =>
          `${nameIn(rules, direction)(claim)}: with SKIP trailers hide the end of a body, and its tail is lost`,
      ),
    ...(duplex ? [`${direction}_body_mode FULL_DUPLEX_STREAMED demands it`] : []),
  ];
}

/**
 * In GRPC mode a piece is a message, and the call may never end. Envoy ignores changes in this mode; other data planes
 * do not.
 */
function conflictsOf(rules: RunRules, direction: Direction): readonly ModeConflict[] {
  const claims = claimsOf(rules, direction);
  const grpc = claims.find(({ handler }) => handler.read === "grpc");
  const other = claims.find((claim) => isWhole(claim) || claim.handler.read === "stream");
  if (grpc === undefined || other === undefined) return [];
  const names = nameIn(rules, direction);
  const nameOf = ({ index }: BodyClaim) => rules.definitions[index]?.name ?? "";
  const ends = isWhole(other) ? "; and elsewhere it waits for the end of a call, which may never come" : "";
  return [
    {
      direction,
      processors: [nameOf(grpc), nameOf(other)],
      why: `${names(grpc)} is for GRPC mode, in which ${names(other)} is a handler_unsupported_in_mode fault${ends}`,
    },
  ];
}

function unseenBodies(rules: RunRules): string[] {
  return DIRECTIONS.flatMap((direction) =>
    claimsOf(rules, direction)
      .filter(({ handler }) => handler.required !== true)
      .map(
        (claim) =>
          `${nameIn(rules, direction)(claim)}: without required, a body that Envoy does not send passes unseen`,
      ),
  );
}

function lateFaults({ rules }: RunRules, { mode }: BodyModeNeed): string[] {
  if (mode !== "STREAMED") return [];
  return rules
    .filter(({ definition, onFault }) => onFault === "closed" && definition.responseBody !== undefined)
    .map(
      ({ definition: { name } }) =>
        `${name}.responseBody: its faults come after the response headers were sent, so closed resets the client`,
    );
}
