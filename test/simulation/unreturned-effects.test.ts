import { expect, test } from "vitest";
import {
  compose,
  defineProcessor,
  type Effect,
  immediateResponse,
  type Processor,
  setHeader,
} from "../../src/index.ts";
import { effectWatch } from "../../src/processor/effect.ts";
import { simulate } from "../../src/simulation/simulate.ts";

const DENY = immediateResponse(403);
type Handler = Parameters<typeof defineProcessor>[0]["requestHeaders"];

const processor = (requestHeaders: Handler): Processor => defineProcessor({ name: "p", requestHeaders });
const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

async function warningsOf(played: Processor): Promise<readonly string[]> {
  const { warnings } = await simulate(played).post("/", {
    body: "{}",
    headers: { "content-type": "application/json" },
  });
  return warnings.map(({ code, rule }) => `${code}: ${/the result of (\w+)\(\)/.exec(rule)?.[1]}`);
}

test("a denial that is not returned lets the request pass, and is reported with its place in the code", async () => {
  const careless = processor(() => {
    immediateResponse(403);
  });
  const { response, warnings } = await simulate(careless).get("/");
  expect(response.status).toBe(200);
  expect(warnings).toEqual([
    {
      code: "effect_not_returned",
      phase: undefined,
      header: undefined,
      rule: expect.stringMatching(
        /the result of immediateResponse\(\) was not returned \(.*unreturned-effects\.test\.ts:\d+\)$/,
      ),
      wayOut: expect.stringContaining("return it"),
    },
  ]);
});

const stateful = defineProcessor({
  name: "stateful",
  state: () => ({ later: undefined as Effect<"responseHeaders"> | undefined }),
  requestHeaders: (_headers, tx) => {
    tx.state.later = setHeader("x-late", "1");
  },
  responseHeaders: (_headers, tx) => tx.state.later,
});

test.each<readonly [what: string, processor: Processor, warnings: readonly string[]]>([
  ["one that is returned", processor(() => setHeader("x-a", "1")), []],
  ["those of an array", processor(() => [setHeader("x-a", "1"), setHeader("x-b", "1")]), []],
  ["one behind an immediate response", processor(() => [immediateResponse(403), setHeader("x-b", "1")]), []],
  ["a constant of the module that is not returned", processor(() => void DENY), []],
  ["a constant of the module that is returned", processor(() => DENY), []],
  ["one that a later handler returns from the state", stateful, []],
  [
    "one that an asynchronous handler makes before it waits, and returns",
    processor(async () => {
      const effect = setHeader("x-a", "1");
      await tick();
      return effect;
    }),
    [],
  ],
  [
    "one that an asynchronous handler makes after it has waited, and does not return",
    processor(async () => {
      await tick();
      immediateResponse(401);
    }),
    ["effect_not_returned: immediateResponse"],
  ],
  [
    "one of two that are made in a map, of which one is returned",
    processor(() => ["x-a", "x-b"].map((name) => setHeader(name, "1"))[0]),
    ["effect_not_returned: setHeader"],
  ],
  [
    "one of the second of two composed processors",
    compose(
      processor(() => setHeader("x-a", "1")),
      defineProcessor({ name: "q", responseHeaders: () => void setHeader("x-b", "1") }),
    ),
    ["effect_not_returned: setHeader"],
  ],
  [
    "one of a body handler",
    defineProcessor({
      name: "b",
      requestBody: { read: "json", required: false, handle: () => void setHeader("x-b", "1") },
      requestHeaders: () => setHeader("x-a", "1"),
    }),
    [],
  ],
  [
    "one of a transaction that has a fault",
    processor(() => {
      setHeader("x-a", "1");
      throw new Error("no");
    }),
    [],
  ],
])("a warning names effects that are not returned: %s", async (_what, played, warnings) => {
  expect(await warningsOf(played)).toEqual(warnings);
});

test("a body handler is watched for effects that are not returned if its body comes", async () => {
  const played = defineProcessor({
    name: "b",
    requestBody: { read: "json", handle: () => void immediateResponse(403) },
  });
  const { warnings } = await simulate(played, { envoy: { processingMode: { requestBodyMode: "BUFFERED" } } }).post(
    "/",
    {
      body: "{}",
    },
  );
  expect(warnings).toMatchObject([{ code: "effect_not_returned" }]);
});

test("transactions at the same time do not mix, and no transaction is watched after its end", async () => {
  const careless = simulate(
    processor(async (_headers, tx) => {
      const effect = setHeader("x-a", "1");
      await tick();
      return tx.request.path === "/returned" ? effect : undefined;
    }),
  );
  const [returned, dropped] = await Promise.all([careless.get("/returned"), careless.get("/dropped")]);
  expect([returned.warnings.length, dropped.warnings.length]).toEqual([0, 1]);
  expect(effectWatch.current).toBeUndefined();
});
