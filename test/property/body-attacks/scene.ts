import { gunzipSync, gzipSync } from "node:zlib";
import { compose, type FaultPolicy, type Processor } from "../../../src/index.ts";
import type { Direction } from "../../../src/protocol/phase.ts";
import type { SimulatedTransaction } from "../../../src/simulation/simulated-transaction.ts";
import { type Mode, sendIn } from "../../session/body/upper.ts";
import { fc } from "../seed.ts";
import { type Act, Attack, type Point } from "./attack.ts";
import { attacked, framed, STEPS, type StepName } from "./steps.ts";

/** One transaction with an attack on a body handler. */
export interface Scene {
  /** The processors: one in front, the attacked one, and one behind. */
  readonly chain: readonly [StepName | undefined, StepName, StepName | undefined];
  readonly act: Act;
  readonly at: Point;
  readonly mode: Mode;
  readonly onFault: FaultPolicy;
  readonly operator: FaultPolicy | undefined;
  readonly pieces: readonly string[];
  readonly hasLength: boolean;
  readonly hasTrailers: boolean;
  readonly isCoded: boolean;
  readonly allowsOverride: boolean;
  readonly abortAfterMs: number | undefined;
}

/** The result. */
export interface Played {
  readonly transaction: SimulatedTransaction;
  readonly attack: Attack;
  /** The decoded bodies, as text of one character for each byte; undefined if they cannot be decoded. */
  readonly got: { readonly request: string | undefined; readonly response: string | undefined };
  /** The sent bodies of both directions. */
  readonly original: string;
  /** The bodies as the handlers change them. */
  readonly wanted: { readonly request: string; readonly response: string };
  /** True if trailers hide the end of a body from a handler that would yield output there. */
  readonly hidesEnd: boolean;
  /** Whether a body is whole: either as the handlers change it, or the original. */
  isWhole(direction: Direction): boolean;
}

const neighbour = fc.constantFrom<(StepName | undefined)[]>(
  undefined,
  undefined,
  "whole",
  "chunks",
  "stream",
  "inspect",
);
const policy = fc.constantFrom<FaultPolicy[]>("envoy", "open", "closed");
const piece = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 9 });

/** Any of them. */
export const scenes: fc.Arbitrary<Scene> = fc
  .record({
    front: neighbour,
    victim: fc.constantFrom<StepName[]>("whole", "text", "json", "chunks", "stream", "inspect", "grpc"),
    behind: neighbour,
    act: fc.constantFrom<Act[]>("throw", "reject", "hang", "nothing"),
    at: fc.constantFrom<Point[]>("headers", 0, 1, 2, 3, 4, 5, 6, "end", "trailers"),
    mode: fc.constantFrom<Mode[]>("NONE", "BUFFERED", "BUFFERED_PARTIAL", "STREAMED", "FULL_DUPLEX_STREAMED"),
    onFault: policy,
    operator: fc.option(policy, { nil: undefined }),
    pieces: fc.array(piece, { minLength: 0, maxLength: 5 }),
    hasLength: fc.boolean(),
    hasTrailers: fc.boolean(),
    isCoded: fc.boolean(),
    allowsOverride: fc.boolean(),
    abortAfterMs: fc.option(fc.nat(40), { nil: undefined, freq: 4 }),
  })
  .map(({ front, victim, behind, pieces, isCoded, ...scene }) => {
    const alone = victim === "json" || victim === "grpc";
    const own = pieces.map((text) => (victim === "json" ? "1" : victim === "grpc" ? framed(text) : text));
    return {
      ...scene,
      pieces: victim === "json" && own.length === 0 ? ["1"] : own,
      isCoded: isCoded && victim !== "grpc",
      chain: alone ? [undefined, victim, undefined] : [front, victim, behind],
    } as const;
  });

/** Runs a transaction to its end. */
export async function play(scene: Scene): Promise<Played> {
  const { pieces, isCoded, hasLength, hasTrailers, allowsOverride, operator, mode } = scene;
  const attack = new Attack(scene.act, scene.at);
  const original = pieces.join("");
  const body = {
    chunks: cut(original, pieces, isCoded),
    chunkIntervalMs: 5,
    headers: {
      ...(scene.chain.includes("grpc") && { "content-type": "application/grpc" }),
      ...(isCoded && { "content-encoding": "gzip" }),
      ...(hasLength && { "content-length": String(isCoded ? gzipSync(original).length : original.length) }),
    },
    ...(hasTrailers && { trailers: { "x-t": "1" } }),
  };
  const transaction = await sendIn(processorOf(scene, attack), mode, {
    request: { ...body, path: "/grpc.health.v1.Health/Check", protocol: "http2", abortAfterMs: scene.abortAfterMs },
    upstream: body,
    envoy: { allowModeOverride: allowsOverride, streamIdleTimeoutMs: 10_000 },
    operator: { onFault: operator, envoy: { allowModeOverride: allowsOverride } },
    patienceMs: 15,
  });
  const steps = scene.chain.filter((name) => name !== undefined);
  const requestSteps = steps.map((name) => STEPS[name].apply);
  // gRPC messages have a handler on the request only.
  const responseSteps = steps.filter((name) => name !== "grpc").map((name) => STEPS[name].apply);
  const got = { request: decoded(transaction.request), response: decoded(transaction.response) };
  const wanted = {
    request: requestSteps.reduce((text, apply) => apply(text), original),
    response: responseSteps.reduceRight((text, apply) => apply(text), original),
  };
  const isWhole = (direction: Direction) => {
    // Each gRPC message is complete: messages after the one that failed may pass.
    if (steps.includes("grpc") && direction === "request") return isSomeChanged(got.request, pieces);
    return got[direction] === wanted[direction] || got[direction] === original;
  };
  const hidesEnd = mode === "STREAMED" && hasTrailers && !hasLength && !allowsOverride && steps.includes("stream");
  return { transaction, attack, original, got, wanted, hidesEnd, isWhole };
}

function isSomeChanged(got: string | undefined, messages: readonly string[]): boolean {
  const { apply } = STEPS.grpc;
  const all = messages.map((_, count) => messages.slice(0, count).map(apply).concat(messages.slice(count)).join(""));
  return got === messages.map(apply).join("") || all.includes(got ?? "");
}

function processorOf({ chain, onFault }: Scene, attack: Attack): Processor {
  const [front, victim, behind] = chain;
  const calm = (name: string, step: StepName | undefined) =>
    step === undefined ? [] : [attacked(name, step, { attack: new Attack("nothing", 0), onFault: "open" })];
  return compose(...calm("front", front), attacked("victim", victim, { attack, onFault }), ...calm("behind", behind));
}

function cut(original: string, pieces: readonly string[], isCoded: boolean): Uint8Array[] {
  if (!isCoded) return pieces.map((text) => new Uint8Array(Buffer.from(text, "latin1")));
  const zipped = gzipSync(original);
  const size = Math.max(1, Math.ceil(zipped.length / Math.max(1, pieces.length)));
  return Array.from({ length: Math.ceil(zipped.length / size) }, (_, at) =>
    zipped.subarray(at * size, (at + 1) * size),
  );
}

function decoded(message: SimulatedTransaction["request"] | SimulatedTransaction["response"]): string | undefined {
  if (message === undefined) return undefined;
  try {
    const isCoded = message.headers["content-encoding"] === "gzip" && message.bytes.length > 0;
    return Buffer.from(isCoded ? gunzipSync(message.bytes) : message.bytes).toString("latin1");
  } catch {
    return undefined;
  }
}
