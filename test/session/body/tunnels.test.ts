import { describe, expect, test } from "vitest";
import { continueAndReplace, defineProcessor, type Processor, setStatus } from "../../../src/index.ts";
import { runRules } from "../../../src/processor/run-rules.ts";
import type { BodyMode } from "../../../src/protocol/body-mode.ts";
import { bodyModes, bodyOf, type HeaderPairs, headersOf } from "../../protocol/messages.ts";
import { recordSession } from "../recorded-session.ts";

const UPGRADE: HeaderPairs = [
  [":method", "GET"],
  ["connection", "keep-alive, Upgrade"],
  ["upgrade", "websocket"],
];
const EXTENDED: HeaderPairs = [
  [":method", "CONNECT"],
  [":protocol", "websocket"],
];
const CONNECT: HeaderPairs = [
  [":method", "CONNECT"],
  ["content-length", "5"],
];
const TUNNELS = {
  "an upgrade": [UPGRADE, "101"],
  "an extended CONNECT": [EXTENDED, "200"],
  CONNECT: [CONNECT, "204"],
} as const;
const MODES = ["NONE", "BUFFERED", "BUFFERED_PARTIAL", "STREAMED", "FULL_DUPLEX_STREAMED"] as const;

const HANDLERS = {
  whole: { read: "whole", handle: fail },
  json: { read: "json", handle: fail },
  chunks: { read: "chunks", chunk: fail, end: fail },
  stream: { read: "stream", handle: fail },
  inspect: { read: "inspect", chunk: fail, end: fail },
};

function fail(): never {
  throw new Error("a handler was called for a tunnel");
}

function processorOf(handler: object): Processor {
  const define = defineProcessor as (definition: object) => Processor;
  return define({ name: "p", requestBody: handler, responseBody: handler });
}

function play(
  processor: Processor,
  mode: BodyMode,
  [request, status]: readonly [HeaderPairs, string],
  declared = false,
) {
  const rules = runRules(processor, { envoy: { allowModeOverride: declared } });
  const { answers, ends, receive } = recordSession(processor, { rules });
  receive(headersOf("requestHeaders", request, bodyModes(mode)));
  receive(headersOf("responseHeaders", [[":status", status]]));
  const overrides = answers.map(({ modeOverride }) => [modeOverride?.requestBodyMode, modeOverride?.responseBodyMode]);
  if (mode !== "NONE" && !declared) receive(bodyOf("requestBody", "ping"), bodyOf("responseBody", "pong"));
  return { answers, overrides, faults: ends.map(({ fault }) => fault?.code) };
}

describe.each(Object.entries(TUNNELS))("%s", (_name, tunnel) => {
  test.each(Object.entries(HANDLERS))(
    "a tunnel passes a handler that reads %s, which is not called",
    (_read, handler) => {
      for (const mode of MODES) {
        for (const required of [false, true]) {
          const { answers, faults } = play(processorOf({ ...handler, required }), mode, tunnel);
          expect(faults, mode).toEqual([]);
          expect(
            answers.map(({ response }) => response.case),
            mode,
          ).toEqual(
            mode === "NONE"
              ? ["requestHeaders", "responseHeaders"]
              : ["requestHeaders", "responseHeaders", "requestBody", "responseBody"],
          );
          if (mode !== "FULL_DUPLEX_STREAMED") continue;
          const sent = answers.flatMap(({ response }) =>
            response.case === "requestBody" || response.case === "responseBody" ? [response.value] : [],
          );
          const pieces = sent.map(({ response }) =>
            response?.bodyMutation?.mutation.case === "streamedResponse"
              ? Buffer.from(response.bodyMutation.mutation.value.body).toString()
              : undefined,
          );
          expect(pieces).toEqual(["ping", "pong"]);
        }
      }
    },
  );

  test.each(Object.entries(HANDLERS))(
    "a tunnel is not asked for a body for a handler that reads %s",
    (_read, handler) => {
      for (const mode of MODES.filter((each) => each !== "FULL_DUPLEX_STREAMED")) {
        const { overrides, faults } = play(processorOf(handler), mode, tunnel, true);
        expect(faults).toEqual([]);
        // 0 is NONE: the mode of the direction whose headers are answered.
        expect([overrides[0]?.[0] ?? 0, overrides[1]?.[1] ?? 0], mode).toEqual([0, 0]);
        expect(overrides[0] === undefined || overrides[0][0] === undefined, mode).toBe(mode === "NONE");
      }
    },
  );
});

test("continueAndReplace cannot give a tunnel a body", () => {
  const asking = defineProcessor({ name: "p", requestHeaders: () => continueAndReplace("body") });
  const opening = defineProcessor({ name: "p", responseHeaders: () => continueAndReplace("body") });
  for (const tunnel of Object.values(TUNNELS)) {
    expect(play(asking, "NONE", tunnel).faults).toEqual(["invalid_effect"]);
    expect(play(opening, "NONE", tunnel).faults).toEqual(["invalid_effect"]);
  }
});

test("setStatus can neither open nor close a tunnel", () => {
  const set = (status: number) => defineProcessor({ name: "p", responseHeaders: () => setStatus(status) });
  expect(play(set(200), "NONE", [UPGRADE, "101"]).faults).toEqual(["invalid_effect"]);
  expect(play(set(502), "NONE", [CONNECT, "200"]).faults).toEqual(["invalid_effect"]);
  expect(play(set(200), "NONE", [CONNECT, "502"]).faults).toEqual(["invalid_effect"]);
  expect(play(set(201), "NONE", [CONNECT, "200"]).faults).toEqual([]);
  expect(play(set(403), "NONE", [UPGRADE, "200"]).faults).toEqual([]);
});

test("a request with connection: upgrade and no upgrade has a body, and so has one with an upgrade alone", () => {
  for (const name of ["connection", "upgrade"]) {
    const headers: HeaderPairs = [
      [":method", "POST"],
      [name, "upgrade"],
      ["content-length", "4"],
    ];
    const { faults } = play(processorOf({ read: "json", handle: () => undefined }), "BUFFERED", [headers, "200"]);
    expect(faults).toContain("body_not_json");
  }
});
