import { describe, expect, test } from "vitest";
import { CONTROL_HEADER, createHeaderModifier, type HeaderModifierProblem } from "../../src/builtin/header-modifier.ts";
import { type HeaderPairs, headersOf } from "../protocol/messages.ts";
import { changesOf, recordSession } from "../session/recorded-session.ts";

const SECRET = "s3cr3t";
const REMOVED = `-${CONTROL_HEADER}`;

/** The changes that header-modifier makes to request headers. */
function modify(pairs: HeaderPairs): { changes: string[]; problems: HeaderModifierProblem[] } {
  const problems: HeaderModifierProblem[] = [];
  const recorded = recordSession(createHeaderModifier((problem) => problems.push(problem)));
  recorded.receive(headersOf("requestHeaders", pairs));
  expect(recorded.log).toEqual(["requestHeaders"]);
  return { changes: changesOf(recorded.answers[0]), problems };
}

const obey = (control: string) => modify([[CONTROL_HEADER, control]]);

describe("a control header", () => {
  test("a control header sets its pairs and is removed", () => {
    expect(obey('{"X-One":"1","x-two":"two words","x-empty":"","x-ü":"no"}')).toEqual({
      changes: [REMOVED, "x-one = 1", "x-two = two words", "x-empty = "],
      problems: ["invalid_header"],
    });
  });

  test("a control header is found in any case of its name", () => {
    expect(modify([["Request-Header-Modifier", '{"x-a":"1"}']]).changes).toEqual([REMOVED, "x-a = 1"]);
  });

  test("an absent control header changes nothing", () => {
    expect(modify([["x-a", "1"]])).toEqual({ changes: [], problems: [] });
    expect(modify([])).toEqual({ changes: [], problems: [] });
  });

  test("a control header without pairs is only removed", () => {
    expect(obey("{}")).toEqual({ changes: [REMOVED], problems: [] });
  });

  test.each(["", " ", "{", `{"x-a":"${SECRET}"`, SECRET, "{'x-a':'1'}", "\ufeff{}"])(
    "a control header that is not JSON is removed and reported: %j",
    (control) => {
      expect(obey(control)).toEqual({ changes: [REMOVED], problems: ["not_json"] });
    },
  );

  test.each(["null", "5", "true", `"${SECRET}"`, `["x-a","${SECRET}"]`, "[]"])(
    "a control header that is not a JSON object is removed and reported: %s",
    (control) => {
      expect(obey(control)).toEqual({ changes: [REMOVED], problems: ["not_an_object"] });
    },
  );

  test("a control header that came twice is removed and reported, and its pairs are ignored", () => {
    const twice: HeaderPairs = [
      [CONTROL_HEADER, '{"x-a":"1"}'],
      ["Request-Header-Modifier", '{"x-a":"1"}'],
    ];
    expect(modify(twice)).toEqual({ changes: [REMOVED], problems: ["repeated"] });
  });

  test("a control header that is not UTF-8 does no harm", () => {
    expect(modify([[CONTROL_HEADER, Uint8Array.of(0xff, 0x7b)]])).toEqual({
      changes: [REMOVED],
      problems: ["not_json"],
    });
  });
});

describe("names that a client must not forge", () => {
  test.each([
    ":path",
    ":authority",
    ":method",
    ":scheme",
    ":status",
    ":",
    "host",
    "authorization",
    "cookie",
    "forwarded",
    "x-forwarded-for",
    "x_forwarded_for",
    "x_envoy-internal",
    "x-forwarded-proto",
    "x-forwarded-client-cert",
    "x-forwarded-",
    "x-envoy-original-path",
    "x-envoy-internal",
    "x-envoy-",
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    CONTROL_HEADER,
  ])("a name that a client must not forge is refused in any case: %s", (name) => {
    const mixed = [...name].map((letter, index) => (index % 2 ? letter : letter.toUpperCase())).join("");
    for (const variant of [name, name.toUpperCase(), mixed]) {
      expect(obey(JSON.stringify({ [variant]: SECRET, "x-fine": "1" }))).toEqual({
        changes: [REMOVED, "x-fine = 1"],
        problems: ["name_refused"],
      });
    }
  });

  test("a name is also refused if one of its letters only lower-cases to a forbidden name", () => {
    expect(obey('{"coo\u212aie":"1"}')).toEqual({ changes: [REMOVED], problems: ["name_refused"] });
  });
});

describe("a bad pair", () => {
  test.each(["5", "true", "null", '["1"]', '{"a":"b"}'])(
    "a bad pair whose value is %s is ignored and reported, and the other pairs are applied",
    (value) => {
      expect(obey(`{"x-bad":${value},"x-fine":"1"}`)).toEqual({
        changes: [REMOVED, "x-fine = 1"],
        problems: ["value_not_a_string"],
      });
    },
  );

  test.each(['{"x bad":"1"}', '{"":"1"}', '{"x-bad\\n":"1"}', '{"x-bad":"1\\r\\nx-forged: 1"}', '{"x-bad":"\\u0000"}'])(
    "a bad pair that makes no header is ignored and reported: %s",
    (control) => {
      expect(obey(control)).toEqual({ changes: [REMOVED], problems: ["invalid_header"] });
    },
  );

  test("each kind of bad pair is reported once for a request", () => {
    expect(obey('{"a b":"1","c d":"1","host":"1","cookie":"1","x-a":1,"x-b":2}').problems.toSorted()).toEqual([
      "invalid_header",
      "name_refused",
      "value_not_a_string",
    ]);
  });
});

describe("the number of pairs", () => {
  const pairs = (count: number) =>
    JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, index) => [`x-${index}`, "1"])));

  test("the number of pairs may be 32", () => {
    const { changes, problems } = obey(pairs(32));
    expect([changes.length, problems]).toEqual([33, []]);
  });

  test("the number of pairs may not be 33, and then no pair is applied", () => {
    expect(obey(pairs(33))).toEqual({ changes: [REMOVED], problems: ["too_many"] });
  });
});

describe("attempts on object prototypes", () => {
  test("attempts on object prototypes set plain headers at most, and change no object", () => {
    const { changes, problems } = obey(
      '{"__proto__":"1","constructor":"2","prototype":{"polluted":"yes"},"toString":"3","hasOwnProperty":"4"}',
    );
    expect(changes).toEqual([REMOVED, "__proto__ = 1", "constructor = 2", "tostring = 3", "hasownproperty = 4"]);
    expect(problems).toEqual(["value_not_a_string"]);
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });

  test("an object under __proto__ does not give pairs", () => {
    expect(obey('{"__proto__":{"x-polluted":"1"}}')).toEqual({ changes: [REMOVED], problems: ["value_not_a_string"] });
    expect(({} as Record<string, unknown>)["x-polluted"]).toBeUndefined();
  });
});

test("header-modifier does not change responses and trailers", () => {
  const recorded = recordSession(createHeaderModifier(() => {}));
  recorded.receive(headersOf("responseHeaders", [[CONTROL_HEADER, '{"x-a":"1"}']]));
  expect(changesOf(recorded.answers[0])).toEqual([]);
});
