import { refuseNameExpression } from "../text/name-expression.ts";
import type { ModeOverride } from "./mode-override.ts";
import type { Direction } from "./phase.ts";

/**
 * What the operator declares about the settings of Envoy's `ext_proc` filter, since Envoy does not send them.
 * Every decision that depends on them uses this declaration. A declaration that claims more than Envoy grants makes Envoy drop
 * answers silently; one that claims less makes a fault of what would have worked.
 */
export interface EnvoyDeclaration {
  /** `message_timeout`, in milliseconds: how long Envoy waits for an answer. Default: 200, Envoy's own. */
  readonly messageTimeoutMs: number;
  /**
   * `max_message_timeout`, in milliseconds: how far an answer may be put off by `override_message_timeout`. Default: 0,
   * Envoy's own, which is: not at all.
   */
  readonly maxMessageTimeoutMs: number;
  /**
   * `allow_mode_override`: true if every override is allowed, or the list in `allowed_override_modes`, with both body
   * modes in each of its entries. Default: false.
   */
  readonly allowModeOverride: boolean | readonly ModeOverride[];
  /**
   * The smallest limit of what Envoy buffers of a body, in bytes: `per_connection_buffer_limit_bytes` of the listener and
   * of the clusters for HTTP/1 clients, `initial_stream_window_size` of the listener for HTTP/2 clients. Default: undefined,
   * which means that the limit is not known: Envoy's own default is 1 MiB, Envoy Gateway sets 32 KiB. An override to
   * BUFFERED is sent only if the limit is declared, because Envoy hangs on a larger body after such an override.
   */
  readonly bufferLimitBytes: number | undefined;
  /**
   * Longest wait for a body on which Envoy may hang after an override, in milliseconds. Envoy sends nothing in BUFFERED if the
   * body is above its limit, and in FULL_DUPLEX_STREAMED if the body is empty. Default: 30000, enough for 1 MiB at 35 KiB/s.
   */
  readonly overriddenBodyTimeoutMs: number;
  /** The directions whose trailer mode is SEND. Default: none. */
  readonly trailers: readonly Direction[];
  /** `failure_mode_allow`: a failed stream lets the transaction pass. Default: false. */
  readonly failureModeAllow: boolean;
  /** `disable_immediate_response`: an immediate response is a protocol error. Default: false. */
  readonly disableImmediateResponse: boolean;
  /**
   * `allow_content_length_header` (Envoy 1.38 and later): Envoy keeps `content-length` in the body modes in which it else
   * removes the header. It matters only if `mutationRules` protect `content-length`. Default: false.
   */
  readonly allowContentLengthHeader: boolean;
  /** `mutation_rules`: which headers may be changed. Default: Envoy's own. */
  readonly mutationRules: MutationRules;
}

/**
 * Envoy's `mutation_rules`: which headers its `ext_proc` filter lets a server change. Expressions are RE2's, and match a
 * name in lower case as a whole.
 */
export interface MutationRules {
  /** `allow_all_routing`: `host`, `:authority`, `:scheme` and `:method` may be set. Default: false. */
  readonly allowAllRouting: boolean;
  /** `allow_envoy`: names that begin with `x-envoy-` may be set and removed. Default: false. */
  readonly allowEnvoy: boolean;
  /** `disallow_system`: names that begin with `:` may not be set. Default: false. */
  readonly disallowSystem: boolean;
  /** `disallow_all`: only names that `allowExpression` matches may be changed. Default: false. */
  readonly disallowAll: boolean;
  /** `allow_expression`: names that may be changed, whatever the fields above say. Default: none. */
  readonly allowExpression: string | undefined;
  /** `disallow_expression`: names that may not be changed, whatever the other fields say. Default: none. */
  readonly disallowExpression: string | undefined;
  /**
   * `disallow_is_error`: a change that the rules refuse fails the transaction instead of being dropped. Default: false.
   * No such change is sent in either case.
   */
  readonly disallowIsError: boolean;
}

/** A declaration as it is written: what is left out has Envoy's default. */
export type EnvoyDeclarationInit = {
  readonly [K in Exclude<keyof EnvoyDeclaration, "mutationRules">]?: EnvoyDeclaration[K] | undefined;
} & {
  readonly mutationRules?: { readonly [K in keyof MutationRules]?: MutationRules[K] | undefined } | undefined;
};

/** Envoy's default for `per_connection_buffer_limit_bytes`. It serves recommendations only; no override relies on it. */
export const ENVOY_BUFFER_LIMIT_BYTES: number = 1024 * 1024;

/** What holds where the operator declares nothing: Envoy's own defaults. */
export const ENVOY_DEFAULTS: EnvoyDeclaration = {
  messageTimeoutMs: 200,
  maxMessageTimeoutMs: 0,
  allowModeOverride: false,
  bufferLimitBytes: undefined,
  overriddenBodyTimeoutMs: 30_000,
  trailers: [],
  failureModeAllow: false,
  disableImmediateResponse: false,
  allowContentLengthHeader: false,
  mutationRules: {
    allowAllRouting: false,
    allowEnvoy: false,
    disallowSystem: false,
    disallowAll: false,
    allowExpression: undefined,
    disallowExpression: undefined,
    disallowIsError: false,
  },
};

/**
 * Fills in what a declaration leaves out. Of the values it checks the expressions alone: the code that reads a file or
 * flags checks the rest.
 *
 * @throws {TypeError} Names an expression that RE2 would not accept.
 */
export function declareEnvoy(init: EnvoyDeclarationInit): EnvoyDeclaration {
  const { mutationRules = {} } = init;
  for (const field of ["allowExpression", "disallowExpression"] as const) {
    const problem = mutationRules[field] === undefined ? undefined : refuseNameExpression(mutationRules[field]);
    if (problem !== undefined) throw new TypeError(`envoy.mutationRules.${field}: ${problem}`);
  }
  return {
    messageTimeoutMs: init.messageTimeoutMs ?? ENVOY_DEFAULTS.messageTimeoutMs,
    maxMessageTimeoutMs: init.maxMessageTimeoutMs ?? ENVOY_DEFAULTS.maxMessageTimeoutMs,
    allowModeOverride: init.allowModeOverride ?? ENVOY_DEFAULTS.allowModeOverride,
    bufferLimitBytes: init.bufferLimitBytes ?? ENVOY_DEFAULTS.bufferLimitBytes,
    overriddenBodyTimeoutMs: init.overriddenBodyTimeoutMs ?? ENVOY_DEFAULTS.overriddenBodyTimeoutMs,
    trailers: init.trailers ?? ENVOY_DEFAULTS.trailers,
    failureModeAllow: init.failureModeAllow ?? ENVOY_DEFAULTS.failureModeAllow,
    disableImmediateResponse: init.disableImmediateResponse ?? ENVOY_DEFAULTS.disableImmediateResponse,
    allowContentLengthHeader: init.allowContentLengthHeader ?? ENVOY_DEFAULTS.allowContentLengthHeader,
    mutationRules: { ...ENVOY_DEFAULTS.mutationRules, ...definedOnly(mutationRules) },
  };
}

function definedOnly<T extends object>(fields: T): { [K in keyof T]: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
