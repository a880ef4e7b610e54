import { expect, test } from "vitest";
import type { Played } from "../../scripts/attack/play.mjs";
import { findings } from "../../scripts/attack/verdict.mjs";

const CALM = { sent: 1000, failed: {}, p50Ms: 1, p99Ms: 4, maxMs: 9 };

const WITHSTOOD: Played = {
  attack: {
    name: "invented",
    what: "an attack that did not run",
    fault: 5,
    from: "main",
    run: async () => {},
    right: /^(?:refused|closed)$/,
    seen: /^refused$/,
    counted: /^ext_proc_refused_total/,
  },
  ending: undefined,
  outcomes: { refused: 3, closed: 1 },
  attackerFailure: undefined,
  calm: CALM,
  attacked: CALM,
  afterwards: CALM,
  status: { asked: 10, failed: 0, slowestMs: 5 },
  risen: { 'ext_proc_refused_total{reason="x"}': 3 },
  limitedBy: "cgroup",
  calmMiB: 90,
  peakMiB: 150,
  afterMiB: 110,
  backMs: 200,
  heldBytes: 0,
  othersShare: 0.01,
  stoppedMs: 40,
  longestLine: 300,
};

const bad = (played: Partial<Played>) =>
  findings({ ...WITHSTOOD, ...played }).flatMap(({ good, question }) => (good ? [] : [question]));

test("an attack that was withstood has no bad finding", () => {
  expect(bad({})).toEqual([]);
});

test.each<[string, Partial<Played>]>([
  ["survived", { ending: "signal SIGKILL" }],
  ["right codes", { outcomes: { refused: 3, "RST_STREAM INTERNAL_ERROR": 1 } }],
  ["right codes", { outcomes: {} }],
  ["right codes", { outcomes: { closed: 4 } }],
  ["right codes", { attackerFailure: "it ended with exit code 1" }],
  ["counted", { risen: { ext_proc_ready: 1 } }],
  ["honest requests", { attacked: { ...CALM, failed: { timeout: 1 } } }],
  ["honest requests", { afterwards: { ...CALM, failed: { "500": 1 } } }],
  ["honest p99", { attacked: { ...CALM, p99Ms: 51 } }],
  ["status port", { status: { asked: 10, failed: 1, slowestMs: 5000 } }],
  ["memory peak", { peakMiB: 513 }],
  ["memory back", { backMs: undefined, afterMiB: 300 }],
  ["ends when told", { stoppedMs: undefined }],
  ["check", { attack: { ...WITHSTOOD.attack, check: () => "a line is too long" } }],
])("the finding %s is bad for %j", (question, played) => {
  expect(bad(played)).toEqual([question]);
});

test("the limit of latency is higher while the machine is busy with other work, but there is one", () => {
  const attacked = { ...CALM, p99Ms: 130 };
  expect(bad({ attacked, othersShare: 0.14 })).toEqual(["honest p99"]);
  expect(bad({ attacked, othersShare: 0.4 })).toEqual([]);
  expect(bad({ attacked: { ...CALM, p99Ms: 2265 }, othersShare: 0.4 })).toEqual(["honest p99"]);
  expect(bad({ attacked: { ...CALM, p99Ms: 5001 }, othersShare: 1 })).toEqual(["honest p99"]);
});

test("requests that were too slow are not judged if the machine was busy with other work", () => {
  const late = { ...CALM, failed: { "504": 7, timeout: 1 } };
  expect(bad({ attacked: late })).toEqual(["honest requests"]);
  expect(bad({ attacked: late, othersShare: 0.4 })).toEqual([]);
  const refused = { ...CALM, failed: { "504": 7, "500": 1 } };
  expect(bad({ attacked: refused, othersShare: 0.4 })).toEqual(["honest requests"]);
});

test("attacks by clients may make honest requests three times as slow as in the calm, and no slower", () => {
  const attack = { ...WITHSTOOD.attack, from: "client" as const };
  const calm = { ...CALM, p99Ms: 10 };
  expect(bad({ attack, calm, attacked: { ...CALM, p99Ms: 29 } })).toEqual([]);
  expect(bad({ attack, calm, attacked: { ...CALM, p99Ms: 31 } })).toEqual(["honest p99"]);
  expect(bad({ attack, peakMiB: 401 })).toEqual(["memory peak"]);
});

test("an attack that takes all the CPU time may make a declared share of honest requests too slow, and none fail", () => {
  const attack = { ...WITHSTOOD.attack, slowShare: 0.05 };
  const attacked = (failed: Record<string, number>) => ({ attack, attacked: { ...CALM, failed } });
  expect(bad(attacked({ "504": 50 }))).toEqual([]);
  expect(bad(attacked({ "504": 51 }))).toEqual(["honest requests"]);
  expect(bad(attacked({ "500": 1 }))).toEqual(["honest requests"]);
  expect(bad({ ...attacked({}), afterwards: { ...CALM, failed: { "504": 1 } } })).toEqual(["honest requests"]);
});
