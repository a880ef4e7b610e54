import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { defineProcessor, type FaultPolicy, type HttpHeaders, type HttpTrailers } from "../../src/index.ts";
import type { DeclaredEnvoySettings } from "../../src/protocol/envoy-settings.ts";
import { type ByteUpstream, startByteUpstream, type WireRequest } from "./byte-upstream.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { FRAMING_ATTEMPTS } from "./framing-attempts.ts";
import { type RunningScenes, type SceneInit, startScenes } from "./rows/scene.ts";
import type { ClientInit, ClientOutcome } from "./rows/scene-client.ts";
import { mutate, on, scripted, setting } from "./rows/script-scenes.ts";
import { served } from "./rows/served.ts";

// What would be read as a second request, were the body's end anywhere else.
const BODY = "abcGET /smuggled HTTP/1.1\r\nhost: smuggled.test\r\n\r\n";
const TRAILERS = { "x-end": "1" };
const REQUESTS: Readonly<Record<string, ClientInit>> = {
  "a GET": {},
  "a POST with a length": { method: "POST", body: BODY },
  "a chunked POST with trailers": { method: "POST", body: BODY, headers: { trailer: "x-end" }, trailers: TRAILERS },
};
const MODES = ["NONE", "BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"];
const POLICIES: readonly FaultPolicy[] = ["envoy", "closed", "open"];

/** Does in the request's headers or trailers what the request's own header `x-attempt` asks for. */
function attacker(onFault: FaultPolicy) {
  const run = (phase: string, wanted: string | undefined, message: HttpHeaders | HttpTrailers) => {
    const [wantedPhase, index] = (wanted ?? "").split(" ");
    return phase === wantedPhase ? (FRAMING_ATTEMPTS[Number(index)]?.handle(message) as never) : undefined;
  };
  return defineProcessor({
    name: "attacker",
    onFault,
    requestHeaders: (headers, tx) => run("headers", tx.request.get("x-attempt"), headers),
    requestTrailers: (trailers, tx) => run("trailers", tx.request.get("x-attempt"), trailers),
  });
}

/** As {@link permissive} is configured. */
const DECLARATION: DeclaredEnvoySettings = {
  messageTimeoutMs: 5_000,
  allowModeOverride: true,
  processingMode: { requestTrailerMode: "SEND" },
  mutationRules: { allowAllRouting: true, allowEnvoy: true },
};

/** A filter that allows a processor everything that Envoy can allow. */
function permissive(mode: string): JsonObject {
  return {
    mutation_rules: { allow_all_routing: true, allow_envoy: true },
    allow_mode_override: true,
    processing_mode: { request_body_mode: mode, request_trailer_mode: "SEND", response_header_mode: "SKIP" },
  };
}

describe.skipIf(envoyBinary === undefined)("the framing of a request that passes Envoy", () => {
  let scenes: RunningScenes;
  const upstreams = new Map<string, ByteUpstream>();

  beforeAll(async () => {
    const inits = new Map<string, SceneInit>();
    const add = async (name: string, init: SceneInit) => {
      const upstream = await startByteUpstream();
      upstreams.set(name, upstream);
      inits.set(name, { ...init, upstreamPort: upstream.port });
    };
    for (const mode of MODES) {
      for (const policy of POLICIES) {
        await add(`${mode}-${policy}`, {
          server: served(attacker(policy), { envoy: DECLARATION }),
          filter: permissive(mode),
        });
      }
    }
    const smuggling = on("requestHeaders", mutate("requestHeaders", setting(["content-length", "3"])));
    await add("smuggling", { server: scripted(smuggling), filter: permissive("NONE") });
    scenes = await startScenes(inits);
  });

  afterAll(async () => {
    await scenes?.stop();
    await Promise.all([...upstreams.values()].map((upstream) => upstream.close()));
  });

  test("the framing of a request can be broken by a server that sets content-length, so the tests below can fail", async () => {
    const upstream = upstreams.get("smuggling");
    await scenes.scenes.get("smuggling")?.send({ path: "/first", method: "POST", body: BODY });
    await expect.poll(() => upstream?.requests.length).toBe(2);
    expect(upstream?.requests.map(({ requestLine }) => requestLine)).toEqual([
      "POST /first HTTP/1.1",
      "GET /smuggled HTTP/1.1",
    ]);
  });

  describe.each(MODES)("in %s", (mode) => {
    test.each(Object.entries(REQUESTS))(
      "the framing of a request stays that of the client, whatever a processor tries: %s",
      async (_name, request) => {
        const phases = request.trailers ? ["headers", "trailers"] : ["headers"];
        const work = phases.flatMap((phase) => FRAMING_ATTEMPTS.map((_attempt, index) => `${phase} ${index}`));
        const shares = POLICIES.map((policy, share) =>
          attack(
            `${mode}-${policy}`,
            request,
            work.filter((_, index) => index % POLICIES.length === share),
          ),
        );
        // One that fails must not leave the others to the next test.
        await Promise.allSettled(shares);
        const outcomes = await Promise.all(shares);
        // Some attempts change nothing, such as a header that only looks like one; and faults are rejected.
        expect(outcomes.flat().filter((status) => status === 200).length).toBeGreaterThan(10);
        expect(outcomes.flat().filter((status) => status === 500).length).toBeGreaterThan(50);
      },
      60_000,
    );
  });

  /** Makes attempts one after the other on one connection to the upstream; gives back what the client got. */
  async function attack(name: string, request: ClientInit, work: readonly string[]): Promise<(number | undefined)[]> {
    const [scene, upstream] = [scenes.scenes.get(name), upstreams.get(name)];
    if (!scene || !upstream) throw new Error(`there is no scene ${name}`);
    const statuses: (number | undefined)[] = [];
    for (const attempt of work) {
      const already = upstream.requests.length;
      const outcome = await scene.send({ ...request, headers: { ...request.headers, "x-attempt": attempt } });
      expectFramed(outcome, upstream.requests.slice(already), { name, attempt, request });
      expect(upstream.problems).toEqual([]);
      statuses.push(outcome.status);
    }
    return statuses;
  }
});

interface Attempted {
  readonly name: string;
  readonly attempt: string;
  readonly request: ClientInit;
}

/** The upstream's answer means one request that is the client's; any other answer, that there was none. */
function expectFramed(outcome: ClientOutcome, seen: readonly WireRequest[], attempted: Attempted): void {
  const { name, attempt, request } = attempted;
  const what = `${name}: ${attempt} ${FRAMING_ATTEMPTS[Number(attempt.split(" ")[1])]?.what}, got ${outcome.status}`;
  // Made a HEAD, a GET has a response without the body that its content-length tells of.
  if (!seen[0]?.requestLine.startsWith("HEAD ")) expect(outcome.complete, what).toBe(true);
  // 503 is Envoy's own answer to what is not a request any more, such as a CONNECT with a path.
  expect([200, 403, 500, 503], what).toContain(outcome.status);
  expect(seen.length, what).toBe(outcome.status === 200 ? 1 : 0);
  for (const { body, headers } of seen) {
    expect(body, what).toBe(request.body ?? "");
    expect(headers, what).toContainEqual(["x-attempt", attempt]);
  }
}
