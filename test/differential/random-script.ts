import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { EnvoyVersion } from "../../src/simulator/settings/simulated-envoy-settings.ts";
import type { Action, MessageKind, Rule, Script } from "../scenarios/script.ts";
import type { Random } from "./random.ts";
import { randomMode } from "./random-settings.ts";

const KINDS: readonly [MessageKind, ...MessageKind[]] = [
  "requestHeaders",
  "requestBody",
  "requestTrailers",
  "responseHeaders",
  "responseBody",
  "responseTrailers",
];

/** A server: mostly a sound one, with some wrong answers among its own. */
export function randomScript(random: Random, version: EnvoyVersion): Script {
  const rules = KINDS.flatMap((kind): Rule[] => {
    if (random.chance(0.45)) return [];
    const nth = kind.endsWith("Body") ? random.maybe(0.6, () => random.between(1, 2)) : undefined;
    const hostile = random.chance(0.2);
    const actions = hostile ? hostileActions(random, kind, version) : [soundAnswer(random, kind)];
    return [{ on: kind, ...(nth !== undefined && { nth }), do: actions }];
  });
  return { rules };
}

function soundAnswer(random: Random, kind: MessageKind): Action {
  const message: Record<string, JsonValue> = { [kind]: payload(random, kind) };
  if (random.chance(0.2)) message.dynamicMetadata = randomMetadata(random);
  if (kind.endsWith("Headers") && random.chance(0.2)) message.modeOverride = { ...randomMode(random) } as JsonObject;
  if (random.chance(0.08)) return { send: { immediateResponse: randomImmediate(random) } };
  return { send: JSON.parse(JSON.stringify(message)) as JsonValue };
}

function payload(random: Random, kind: MessageKind): JsonValue {
  if (kind.endsWith("Trailers")) return { headerMutation: randomMutation(random) };
  const common: Record<string, JsonValue> = {};
  // A cleared route cache that nothing matches, after an answer to a BUFFERED_PARTIAL body, ends Envoy (all releases).
  const mayReroute = kind !== "requestBody";
  if (random.chance(0.7)) common.headerMutation = randomMutation(random, mayReroute ? NAMES : NAMES_BUT_THE_PATH);
  if (mayReroute && random.chance(0.15)) common.clearRouteCache = true;
  if (kind.endsWith("Headers")) {
    if (random.chance(0.08)) Object.assign(common, { status: "CONTINUE_AND_REPLACE", bodyMutation: { body: "whole" } });
    return { response: common };
  }
  if (random.chance(0.6)) common.bodyMutation = randomBodyMutation(random);
  return { response: common };
}

function randomBodyMutation(random: Random): JsonValue {
  return random.pick<JsonValue>([
    { body: "replaced" },
    { body: "" },
    { clearBody: true },
    { streamedResponse: { body: "streamed" } },
    { streamedResponse: { body: "streamed", endOfStream: true } },
  ]);
}

/** Header mutations, those included that rules refuse. */
function randomMutation(random: Random, names = NAMES): JsonObject {
  const set = () => ({
    header: { key: random.pick(names), rawValue: random.pick(VALUES) },
    ...(random.chance(0.3) && { append: true }),
    ...(random.chance(0.1) && { appendAction: random.pick(["ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS"]) }),
  });
  const mutation: Record<string, JsonValue> = { setHeaders: random.some(3, set) };
  if (random.chance(0.4)) mutation.removeHeaders = random.some(2, () => random.pick(NAMES));
  if (random.chance(0.3)) mutation.removeHeaders = [...((mutation.removeHeaders as string[]) ?? []), "content-length"];
  return mutation;
}

const NAMES_BUT_THE_PATH: readonly [string, ...string[]] = [
  ...(["x-new", "x-old", "X-Upper", "set-cookie", "x-envoy-a", ":authority", ":method", ":scheme"] as const),
  ...([":status", "host", "x-trailer", "x-gone"] as const),
];
const NAMES: readonly [string, ...string[]] = [":path", ...NAMES_BUT_THE_PATH];
const VALUES: readonly [string, ...string[]] = ["1", "/path", "two words", "", "204", "GET"];

function hostileActions(random: Random, kind: MessageKind, version: EnvoyVersion): readonly Action[] {
  const other = random.pick(KINDS);
  const streamed: Action[] = version === "1.36" ? [] : [{ send: randomStreamedImmediate(random) }];
  return random.pick<readonly Action[]>([
    [],
    [{ end: 0 }],
    [{ end: random.pick([2, 13, 14]) }],
    [{ reset: random.pick([2, 8]) }],
    [{ send: {} }],
    [{ send: { [other]: {} } }],
    ["neutral", "neutral"],
    ["neutral", { end: 13 }],
    [{ send: { overrideMessageTimeout: random.pick(["0.5s", "0s", "2s"]) } }, "neutral"],
    [{ send: { immediateResponse: randomImmediate(random) } }],
    [{ send: { [kind]: { response: { headerMutation: badMutation(random) } } } }].filter(
      () => !kind.endsWith("Trailers"),
    ),
    streamed,
    [{ send: { modeOverride: { requestBodyMode: "FULL_DUPLEX_STREAMED", requestTrailerMode: "SEND" } } }, "neutral"],
  ]);
}

function badMutation(random: Random): JsonValue {
  return random.pick<JsonValue>([
    { setHeaders: [{ header: { key: "x-bad", rawValue: { hex: "610a62" } } }] },
    { setHeaders: [{ header: { key: "x bad", rawValue: "1" } }] },
    { removeHeaders: ["x\nbad"] },
    { setHeaders: [{ times: 101, item: { header: { key: "x-#", rawValue: "1" } } }] },
    { setHeaders: [{ header: { key: "x-new", value: "no raw value" } }] },
  ]);
}

function randomImmediate(random: Random): JsonObject {
  const body = random.pick(["", "denied"]);
  return {
    ...(random.chance(0.9) && { status: { code: random.pick([200, 302, 403, 503, 100]) } }),
    ...(body !== "" && { body }),
    ...(random.chance(0.5) && { headers: randomMutation(random) }),
    ...(random.chance(0.5) && { details: "why not" }),
  };
}

function randomStreamedImmediate(random: Random): JsonValue {
  const status = { key: ":status", rawValue: random.pick(["200", "202", "403"]) };
  const headersResponse = { headers: { headers: [status, { key: "x-local", rawValue: "1" }] }, endOfStream: true };
  return { streamedImmediateResponse: { headersResponse } };
}

function randomMetadata(random: Random): JsonObject {
  return { [random.pick(["demo", "other"])]: { [random.pick(["a", "b"])]: random.between(1, 9) } };
}
