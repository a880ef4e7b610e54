import type { JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import type { Action, MessageKind, Rule } from "../../scenarios/script.ts";
import { type ScriptedServer, startScriptedServer } from "../scripted.ts";
import { isSince } from "./envoy-release.ts";

/** A scripted server for a scene: what these rules do not name is answered neutrally. */
export function scripted(...rules: readonly Rule[]): () => Promise<ScriptedServer> {
  return () => startScriptedServer({ rules });
}

/** A rule for one kind of message. */
export function on(kind: Rule["on"], ...actions: readonly Action[]): Rule {
  return { on: kind, do: actions };
}

/** Headers and trailers: those whose answers carry a header mutation. */
type HeaderKind = Extract<MessageKind, `${string}Headers` | `${string}Trailers` | `${string}Body`>;

/** Answers with a header mutation, as `send` of a script writes it. */
export function mutate(kind: HeaderKind, headerMutation: JsonObject, more: JsonObject = {}): Action {
  const inTrailers = kind === "requestTrailers" || kind === "responseTrailers";
  const payload: JsonObject = inTrailers ? { headerMutation } : { response: { headerMutation, ...more } };
  return { send: { [kind]: payload } as never };
}

/** `set_headers` of a mutation: names and values, which go into raw_value. */
export function setting(...headers: readonly (readonly [key: string, rawValue: string])[]): JsonObject {
  return { setHeaders: headers.map(([key, rawValue]) => ({ header: { key, rawValue } })) };
}

/** A scene that fails open. */
export const FAIL_OPEN: JsonObject = { failure_mode_allow: true };

/** The code of the RST_STREAM by which Envoy ends a stream that it needs no more (RFC 9113 7). */
export const DONE_CODE = isSince("1.38") ? 2 : 0;

/** The count of `server_half_closed`, which came with 1.37. */
export function serverHalfClosed(count: number): Record<string, number> {
  return isSince("1.37") ? { server_half_closed: count } : {};
}
