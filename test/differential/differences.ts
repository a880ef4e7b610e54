import type { HttpReport } from "../../src/simulator/report/report.ts";
import type { EnvoyVersion } from "../../src/simulator/settings/simulated-envoy-settings.ts";
import type { Scenario } from "../scenarios/scenario.ts";
import { type Comparable, comparable } from "./comparable.ts";
import { KNOWN_DIFFERENCES } from "./known-differences.ts";

/** A field in which two outcomes differ. */
export interface Difference {
  /** Such as `client.headers.x-new`. */
  readonly path: string;
  readonly simulated: unknown;
  readonly envoy: unknown;
}

/** What was compared, with the sides of a race taken out where both are right. */
interface Sides {
  readonly simulated: Comparable;
  readonly envoy: Comparable;
}

/**
 * Where the simulator and a real Envoy differ, known differences aside. Some things are races in Envoy. The comparison
 * leaves out what depends on such a race:
 *
 * - what a request that the upstream did not answer had brought to it by then: the head may not have left yet, and of
 *   the body, as of a response body that is cut off, one side may have seen less;
 * - the last messages to the server, of which a reset in either direction loses some, while all of them are counted;
 * - what the server sent after Envoy was done with it;
 * - who ended the stream first, where the script ends it too.
 *
 * What goes to a server that is not there is compared as far as the counters tell.
 */
export function differences(
  scenario: Scenario,
  outcomes: { readonly simulated: HttpReport; readonly envoy: HttpReport },
  version: EnvoyVersion,
): readonly Difference[] {
  const sides: Sides = { simulated: comparable(outcomes.simulated), envoy: comparable(outcomes.envoy) };
  const fair = [cutUpstream, cutClient, lastMessages, lateAnswers, (both: Sides) => callEnd(both, scenario)];
  const { simulated, envoy } = fair.reduce((both, rule) => rule(both), sides);
  const known = KNOWN_DIFFERENCES.filter(({ applies }) => applies(scenario, version));
  const isKnown = ({ path }: Difference) => known.some(({ paths }) => paths.some((start) => path.startsWith(start)));
  return compare(simulated, envoy, "").filter((difference) => !isKnown(difference));
}

/** One line a difference, for people. */
export function describeDifferences(found: readonly Difference[]): readonly string[] {
  const text = (value: unknown) => (JSON.stringify(value) ?? "nothing").slice(0, 300);
  return found.map(({ path, simulated, envoy }) => `${path}: simulator ${text(simulated)}, Envoy ${text(envoy)}`);
}

/** Ends of exchanges in which something never came: what the upstream saw is not a race then. */
const HANGS: ReadonlySet<string> = new Set(["stream_idle_timeout", "response_timeout"]);

function cutUpstream({ simulated, envoy }: Sides): Sides {
  const { upstream: expected } = simulated;
  const { upstream: seen } = envoy;
  const hung = HANGS.has(envoy.details);
  if (expected === undefined || envoy.details === "via_upstream" || (seen?.end === "complete" && hung))
    return { simulated, envoy };
  if (seen === undefined) return { simulated: { ...simulated, upstream: undefined }, envoy };
  if (!onePrefixesOther(expected.body, seen.body)) return { simulated, envoy };
  const { body, trailers, end } = expected;
  return { simulated, envoy: { ...envoy, upstream: { ...seen, body, trailers, end } } };
}

function cutClient({ simulated, envoy }: Sides): Sides {
  const { client: expected } = simulated;
  const { client: seen } = envoy;
  if (expected.end === "complete" || seen.end === "complete") return { simulated, envoy };
  if (!onePrefixesOther(expected.body, seen.body)) return { simulated, envoy };
  return { simulated, envoy: { ...envoy, client: { ...seen, body: expected.body } } };
}

function lastMessages({ simulated, envoy }: Sides): Sides {
  if (simulated.counters.stream_msgs_sent !== envoy.counters.stream_msgs_sent) return { simulated, envoy };
  const common = (mine: Comparable, other: Comparable): Comparable => ({
    ...mine,
    toServer: {
      request: mine.toServer.request.slice(0, other.toServer.request.length),
      response: mine.toServer.response.slice(0, other.toServer.response.length),
    },
  });
  return { simulated: common(simulated, envoy), envoy: common(envoy, simulated) };
}

function lateAnswers({ simulated, envoy }: Sides): Sides {
  const heard = (kind: keyof Comparable["fromServer"]) =>
    envoy.fromServer[kind].slice(0, simulated.fromServer[kind].length);
  const fromServer = { request: heard("request"), response: heard("response"), other: heard("other") };
  return { simulated, envoy: { ...envoy, fromServer } };
}

const ENDS = ["end", "halfClose", "httpStatus", "reset", "disconnect", "sendBytes", "sendRaw"];

function callEnd({ simulated, envoy }: Sides, { script, server }: Scenario): Sides {
  const { streamEnd, toServer } = simulated;
  if (server === "down") return { simulated, envoy: { ...envoy, streamEnd, toServer } };
  const actions = (script?.rules ?? []).flatMap((rule) => rule.do);
  const ends = actions.some((action) => typeof action === "object" && ENDS.some((name) => name in action));
  return ends ? { simulated, envoy: { ...envoy, streamEnd } } : { simulated, envoy };
}

function onePrefixesOther(one: string, other: string): boolean {
  return one.startsWith(other) || other.startsWith(one);
}

function compare(simulated: unknown, envoy: unknown, path: string): Difference[] {
  if (!isContainer(simulated) || !isContainer(envoy)) {
    return Object.is(simulated, envoy) ? [] : [{ path, simulated, envoy }];
  }
  const names = [...new Set([...Object.keys(simulated), ...Object.keys(envoy)])];
  return names.flatMap((name) => compare(simulated[name], envoy[name], path === "" ? name : `${path}.${name}`));
}

function isContainer(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
