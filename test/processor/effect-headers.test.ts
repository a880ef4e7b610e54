import { describe, expect, test } from "vitest";
import type { HttpHeaders } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import {
  addHeaderIfAbsent,
  appendHeader,
  clearRouteCache,
  overwriteHeaderIfExists,
  removeHeader,
  setAuthority,
  setHeader,
  setMethod,
  setPath,
  setStatus,
} from "../../src/processor/effects.ts";
import { neutralAnswer } from "../../src/protocol/answers/neutral-answer.ts";
import type { HeaderPairs } from "../protocol/messages.ts";
import { answerOf, faultOf, outcomeOf } from "../session/answering.ts";
import { changesOf } from "../session/recorded-session.ts";

function clearsRouteCache(effects: unknown, declared = {}): boolean {
  const { response } = answerOf(effects, { declared });
  return response.case === "requestHeaders" && response.value.response?.clearRouteCache === true;
}

const FORTY_KIB = "x".repeat(40 * 1024);
const ROUTING = { mutationRules: { allowAllRouting: true } };

describe("conditional effects", () => {
  const headers: HeaderPairs = [
    ["x-there", "1"],
    ["x-empty", ""],
  ];

  test("addHeaderIfAbsent sets only an absent header, and an empty header is not absent", () => {
    const effects = ["X-There", "x-empty", "x-new"].map((name) => addHeaderIfAbsent(name, "2"));
    expect(changesOf(answerOf(effects, { headers }))).toEqual(["x-new = 2"]);
  });

  test("overwriteHeaderIfExists sets only a header that exists", () => {
    const effects = ["X-There", "x-empty", "x-new"].map((name) => overwriteHeaderIfExists(name, "2"));
    expect(changesOf(answerOf(effects, { headers }))).toEqual(["x-there = 2", "x-empty = 2"]);
  });

  test("conditional effects see what the effects before them did", () => {
    const effects = [
      removeHeader("x-there"),
      addHeaderIfAbsent("x-there", "again"),
      setHeader("x-new", "1"),
      overwriteHeaderIfExists("x-new", "2"),
      addHeaderIfAbsent("x-new", "3"),
      appendHeader("x-more", "1"),
      removeHeader("x-more"),
      overwriteHeaderIfExists("x-more", "2"),
    ];
    expect(changesOf(answerOf(effects, { headers }))).toEqual(["-x-more", "x-there = again", "x-new = 2"]);
  });

  test("conditional effects look at the trailers in trailer phases", () => {
    const effects = [addHeaderIfAbsent("x-there", "2"), addHeaderIfAbsent("x-new", "2")];
    expect(changesOf(answerOf(effects, { phase: "responseTrailers", headers }))).toEqual(["x-new = 2"]);
  });

  test("conditional effects that change nothing give a neutral answer", () => {
    expect([answerOf(addHeaderIfAbsent("x-there", "2"), { headers })]).toEqual(neutralAnswer("requestHeaders"));
  });
});

describe("pseudo-headers", () => {
  test("each pseudo-header has its own effect", () => {
    const declared = ROUTING;
    const effects = [setPath("/a?b=c"), setAuthority("b.example:8080"), setMethod("PUT")];
    expect(changesOf(answerOf(effects, { declared }))).toEqual([
      ":path = /a?b=c",
      ":authority = b.example:8080",
      ":method = PUT",
    ]);
    expect(changesOf(answerOf(setStatus(404), { phase: "responseHeaders" }))).toEqual([":status = 404"]);
  });

  test.each([
    ["a path without a slash", setPath("a"), 'setPath: pseudo-header ":path" must begin with "/"'],
    ["a path with a blank", setPath("/a b"), 'setPath: pseudo-header ":path" cannot have character U+0020'],
    ["a path that is not text", setPath(5 as never), 'setPath: value of pseudo-header ":path" is a number'],
    [
      "an authority with a path",
      setAuthority("a/b"),
      'setAuthority: pseudo-header ":authority" cannot have character U+002F',
    ],
    ["an empty authority", setAuthority(""), 'setAuthority: pseudo-header ":authority" must be a host'],
    ["a method with a blank", setMethod("GET /x"), 'setMethod: pseudo-header ":method" must be a token'],
    [
      "a scheme that is not valid",
      setHeader(":scheme", "gopher"),
      'setHeader: pseudo-header ":scheme" must be http or https',
    ],
    ["a host that is appended", appendHeader("host", "a"), 'appendHeader: header "host" has one value'],
    ["a host with a blank", setHeader("host", "a b"), 'setHeader: header "host" cannot have character U+0020'],
  ])("pseudo-headers refuse %s, and name the rule", (_what, effect, message) => {
    expect(faultOf(effect, { declared: ROUTING })).toContain(
      `invalid_effect: processor "p", requestHeaders: ${message}`,
    );
  });

  test.each([100, 199, 1000, 200.5, Number.NaN, "200", undefined])("setStatus refuses the status %s", (status) => {
    expect(faultOf(setStatus(status as never), { phase: "responseHeaders" })).toMatch(/^invalid_effect: .*setStatus: /);
  });

  test("effects on pseudo-headers are a fault in the other direction, and the message names the right one", () => {
    expect(faultOf(setStatus(200))).toBe(
      'invalid_effect: processor "p", requestHeaders: setStatus: Envoy does not honour it in requestHeaders, only in responseHeaders, responseBody',
    );
    expect(faultOf(setPath("/"), { phase: "responseHeaders" })).toContain("only in requestHeaders");
  });

  test("host and :authority are one header to Envoy, and the later one wins", () => {
    const effects = [setHeader("host", "a"), setAuthority("b"), setHeader("Host", "c")];
    expect(changesOf(answerOf(effects, { declared: ROUTING }))).toEqual([":authority = c"]);
  });
});

describe("effects that would move the end of a message", () => {
  const response = (status: string, endOfStream: boolean) => ({
    phase: "responseHeaders" as const,
    headers: [
      [":status", status],
      ["content-length", "5"],
    ] as HeaderPairs,
    endOfStream,
  });

  test.each([204, 304])("status %i is a fault on a response with a body", (status) => {
    expect(faultOf(setStatus(status), response("200", false))).toContain(
      `invalid_effect: processor "p", responseHeaders: setStatus: status ${status} has no body, and this response has one`,
    );
    expect(faultOf(setHeader(":status", String(status)), response("200", false))).toContain("has no body");
    expect(changesOf(answerOf(setStatus(status), response("200", true)))).toEqual([`:status = ${status}`]);
  });

  test("a 304 that becomes another status loses its content-length", () => {
    expect(changesOf(answerOf(setStatus(200), response("304", true)))).toEqual(["-content-length", ":status = 200"]);
    expect(changesOf(answerOf(setHeader("x-a", "1"), response("304", true)))).toEqual(["x-a = 1"]);
    expect(changesOf(answerOf(setStatus(404), response("200", true)))).toEqual([":status = 404"]);
  });

  test("the end of a message is judged by what Envoy sent, whatever a handler writes into its message", () => {
    const alone = response("200", false);
    const writing = (message: HttpHeaders) => {
      message.endOfStream = true;
      message.headers = undefined;
    };
    expect(faultOf(setStatus(204), { ...alone, writing })).toContain("this response has one");
    const request = { headers: [[":method", "HEAD"]] as HeaderPairs, declared: ROUTING, writing };
    expect(faultOf(setMethod("GET"), request)).toContain("a request cannot become or stop being HEAD");
  });

  test("setMethod is a fault if Envoy's forward_rules hide the client's method", () => {
    expect(faultOf(setMethod("GET"), { headers: [], declared: ROUTING })).toContain("Envoy did not send :method");
  });

  test.each([
    ["GET", "HEAD", "HEAD"],
    ["GET", "head", "HEAD"],
    ["HEAD", "GET", "HEAD"],
    ["POST", "CONNECT", "CONNECT"],
    ["CONNECT", "GET", "CONNECT"],
  ])("a %s that becomes a %s is a fault", (from, to, named) => {
    const request = { headers: [[":method", from]] as HeaderPairs, declared: ROUTING };
    const message = `a request cannot become or stop being ${named}`;
    expect(faultOf(setMethod(to), request)).toContain(message);
    expect(changesOf(answerOf(setMethod(from), request))).toEqual([`:method = ${from}`]);
    expect(changesOf(answerOf(setMethod("PUT"), { ...request, headers: [[":method", "GET"]] }))).toHaveLength(1);
  });
});

describe("headers protected by Envoy's mutation_rules", () => {
  test.each([
    ["host", setHeader("host", "a"), "allow_all_routing", "allowAllRouting"],
    [":authority", setAuthority("a"), "allow_all_routing", "allowAllRouting"],
    [":scheme", setHeader(":scheme", "https"), "allow_all_routing", "allowAllRouting"],
    [":method", setMethod("PUT"), "allow_all_routing", "allowAllRouting"],
    ["x-envoy-foo", setHeader("X-Envoy-Foo", "a"), "allow_envoy", "allowEnvoy"],
    ["x-envoy-foo", removeHeader("x-envoy-foo"), "allow_envoy", "allowEnvoy"],
    ["x-envoy-foo", addHeaderIfAbsent("x-envoy-foo", "a"), "allow_envoy", "allowEnvoy"],
  ])(
    "header %s is a fault that names the rule and the way out, unless declared",
    (header, effect, rule, declaration) => {
      const declared = { mutationRules: { [declaration]: true } };
      expect(faultOf(effect)).toBe(
        `mutation_not_allowed: processor "p", requestHeaders: ${effect.kind}: Envoy drops changes of header ${JSON.stringify(header)} unless its mutation_rules have ${rule}; if they do, declare mutationRules.${declaration}`,
      );
      expect(outcomeOf(effect, { declared }).fault).toBeUndefined();
    },
  );
});

describe("limits of Envoy's", () => {
  const headers = (count: number): HeaderPairs => Array.from({ length: count }, (_, index) => [`x-${index}`, "1"]);

  test("the limit on the number of headers counts the headers that came", () => {
    const to = { headers: headers(99) };
    expect(outcomeOf(setHeader("x-new", "1"), to).fault).toBeUndefined();
    expect(faultOf([setHeader("x-new", "1"), setHeader("x-newer", "1")], to)).toBe(
      'header_limit_exceeded: processor "p", requestHeaders: 101 headers together with the existing ones, and Envoy accepts 100',
    );
  });

  test("the limit on the number of headers counts a replaced header once", () => {
    const to = { headers: headers(100) };
    expect(outcomeOf(setHeader("x-5", "1"), to).fault).toBeUndefined();
    expect(outcomeOf([setHeader("x-new", "1"), removeHeader("x-5")], to).fault).toBeUndefined();
    expect(
      outcomeOf(
        Array.from({ length: 150 }, () => setHeader("x-5", "1")),
        to,
      ).fault,
    ).toBeUndefined();
  });

  test("limits of Envoy's are not applied if Envoy's own headers show that it has other limits", () => {
    expect(outcomeOf(setHeader("x-new", "1"), { headers: headers(150) }).fault).toBeUndefined();
    expect(
      outcomeOf(setHeader("x-new", "1"), { headers: [["x-a", `${FORTY_KIB}${FORTY_KIB}`]] }).fault,
    ).toBeUndefined();
  });

  test("each list of a mutation is limited to 100, with one removal for the runtime", () => {
    const removals = headers(100).map(([name]) => removeHeader(name));
    expect(faultOf(removals)).toContain("header_limit_exceeded: ");
    expect(faultOf(removals)).toContain("100 headers are removed, and 99 can be");
    expect(outcomeOf(removals.slice(1)).fault).toBeUndefined();
    const appended = Array.from({ length: 101 }, () => appendHeader("x-a", "1"));
    expect(faultOf(appended)).toContain("101 values are set, and Envoy accepts 100");
  });

  test("the size of headers is limited to 60 KiB for a request and 80 KiB for a response", () => {
    const effects = [setHeader("x-a", FORTY_KIB), setHeader("x-b", "y".repeat(30 * 1024))];
    const rule = "bytes of headers together with the existing ones, and Envoy accepts 61440";
    expect(faultOf(effects)).toContain(rule);
    expect(faultOf(setHeader("x-a", FORTY_KIB), { headers: [["x-b", FORTY_KIB]] })).toContain(rule);
    expect(outcomeOf(effects, { phase: "responseHeaders" }).fault).toBeUndefined();
    expect(faultOf([...effects, setHeader("x-c", FORTY_KIB)], { phase: "responseHeaders" })).toContain("accepts 81920");
    expect(outcomeOf(setHeader("x-b", FORTY_KIB), { headers: [["x-b", FORTY_KIB]] }).fault).toBeUndefined();
  });
});

describe("the route cache", () => {
  test("the route cache is cleared only if a changed header chooses the route", () => {
    expect(clearsRouteCache(setPath("/a"))).toBe(true);
    expect(clearsRouteCache(setAuthority("a"), ROUTING)).toBe(true);
    expect(clearsRouteCache(setHeader("Host", "a"), ROUTING)).toBe(true);
    expect(clearsRouteCache(setMethod("PUT"), ROUTING)).toBe(true);
    expect(clearsRouteCache(setHeader("x-a", "a"))).toBe(false);
    expect(clearsRouteCache([setHeader("x-a", "a"), clearRouteCache()])).toBe(true);
  });

  test("the route cache is cleared by an answer with an empty mutation if nothing changes: without one Envoy would ignore it", () => {
    const { response } = answerOf(clearRouteCache());
    expect(response).toMatchObject({
      case: "requestHeaders",
      value: { response: { headerMutation: { setHeaders: [], removeHeaders: [] }, clearRouteCache: true } },
    });
  });

  test("the route cache is never cleared by an answer to a response", () => {
    const { response } = answerOf(setStatus(404), { phase: "responseHeaders" });
    expect(response).toMatchObject({ value: { response: { clearRouteCache: false } } });
    expect(faultOf(clearRouteCache(), { phase: "responseHeaders" })).toContain("only in requestHeaders");
  });
});
