import { describe, expect, test } from "vitest";
import { defineProcessor } from "../../src/processor/definition.ts";
import { type EditablePhase, type Effect, effectData } from "../../src/processor/effect.ts";
import { appendHeader, immediateResponse, removeHeader, setHeader } from "../../src/processor/effects.ts";
import { bytes, headersOf } from "../protocol/messages.ts";
import { changesOf, recordSession } from "../session/recorded-session.ts";

/** The answer to request headers if a handler returns this. */
function answerTo(effects: Effect<EditablePhase> | readonly Effect<EditablePhase>[]) {
  const recorded = recordSession(defineProcessor({ name: "p", requestHeaders: () => effects }));
  recorded.receive(headersOf("requestHeaders"));
  const [answer] = recorded.answers;
  if (answer === undefined) throw new Error(recorded.ends[0]?.fault?.message);
  return answer;
}

function reply(effect: Effect<EditablePhase>) {
  const { response } = answerTo(effect);
  if (response.case !== "immediateResponse") throw new Error(`member ${response.case}`);
  return response.value;
}

describe("effects", () => {
  test("effects are equal if they do the same, and differ if they do not", () => {
    expect(setHeader("x-a", "1")).toEqual(setHeader("x-a", "1"));
    expect(setHeader("x-a", "1")).not.toEqual(setHeader("x-a", "2"));
    expect(setHeader("x-a", "1")).not.toEqual(appendHeader("x-a", "1"));
    expect(immediateResponse(403, { text: "no" })).toEqual(immediateResponse(403, { text: "no" }));
  });

  test("effects keep their status and kind, whatever else the options hold", () => {
    const answer = { text: "no", status: 200, kind: "removeHeader" };
    expect(effectData(immediateResponse(403, answer))).toMatchObject({ kind: "immediateResponse", status: 403 });
  });

  test("effects describe themselves in a text", () => {
    expect(setHeader("x-a", "1").kind).toBe("setHeader");
    expect(appendHeader("x-a", "1").kind).toBe("appendHeader");
    expect(removeHeader("x-a").kind).toBe("removeHeader");
    expect(immediateResponse(403).kind).toBe("immediateResponse");
  });

  test("effects carry a mark that a plain object of the same shape lacks", () => {
    expect(effectData(setHeader("x-a", "1"))).toMatchObject({ kind: "setHeader", name: "x-a", value: "1" });
    for (const value of [{ kind: "setHeader", name: "x-a", value: "1" }, undefined, null, "setHeader", [], 5])
      expect(effectData(value)).toBeUndefined();
  });
});

describe("header effects", () => {
  test("header effects lower-case the name", () => {
    expect(changesOf(answerTo([setHeader("X-Set", "1"), appendHeader("X-Add", "2"), removeHeader("X-Gone")]))).toEqual([
      "-x-gone",
      "x-set = 1",
      "x-add += 2",
    ]);
  });

  test("header effects on two cases of a name change one header", () => {
    expect(changesOf(answerTo([setHeader("X-A", "1"), appendHeader("x-a", "2")]))).toEqual(["x-a = 1", "x-a += 2"]);
  });

  test("header effects send text as UTF-8 and bytes as they are", () => {
    const { response } = answerTo([setHeader("x-text", "é"), setHeader("x-bytes", Uint8Array.of(0x80, 0xff))]);
    expect(response).toMatchObject({
      value: {
        response: {
          headerMutation: {
            setHeaders: [
              { header: { rawValue: Uint8Array.of(0xc3, 0xa9) } },
              { header: { rawValue: Uint8Array.of(0x80, 0xff) } },
            ],
          },
        },
      },
    });
  });

  test("header effects in an empty array change nothing", () => {
    expect(changesOf(answerTo([]))).toEqual([]);
  });
});

describe("immediateResponse", () => {
  test("immediateResponse sends JSON as application/json", () => {
    const { body, headers } = reply(immediateResponse(403, { json: { error: "forbidden", n: [1, null] } }));
    expect(new TextDecoder().decode(body)).toBe('{"error":"forbidden","n":[1,null]}');
    expect(headers?.setHeaders[0]?.header).toMatchObject({ key: "content-type", rawValue: bytes("application/json") });
  });

  test.each([null, false, 0, "", []])("immediateResponse sends the JSON value %j too", (json) => {
    expect(new TextDecoder().decode(reply(immediateResponse(200, { json })).body)).toBe(JSON.stringify(json));
  });

  test("immediateResponse sends text as UTF-8 text/plain", () => {
    const { body, headers } = reply(immediateResponse(403, { text: "né" }));
    expect(body).toEqual(bytes("né"));
    expect(headers?.setHeaders[0]?.header?.rawValue).toEqual(bytes("text/plain; charset=utf-8"));
  });

  test("immediateResponse sends bytes unchanged, and adds no content-type", () => {
    const { body, headers } = reply(immediateResponse(200, { bytes: Uint8Array.of(0, 255) }));
    expect(body).toEqual(Uint8Array.of(0, 255));
    expect(headers).toBeUndefined();
  });

  test("immediateResponse sends no body and no content-type if it has no body", () => {
    const { body, headers, status } = reply(immediateResponse(204));
    expect([body.length, headers, status?.code]).toEqual([0, undefined, 204]);
  });

  test("immediateResponse takes headers, gRPC status and details; a content-type among the headers wins", () => {
    const response = reply(
      immediateResponse(401, {
        json: {},
        headers: { "Content-Type": "application/problem+json", "www-authenticate": "Bearer" },
        grpcStatus: 16,
        details: "no token",
      }),
    );
    expect(response.headers?.setHeaders.map(({ header }) => header?.key)).toEqual(["content-type", "www-authenticate"]);
    expect(response.headers?.setHeaders[0]?.header?.rawValue).toEqual(bytes("application/problem+json"));
    expect([response.grpcStatus?.status, response.details]).toEqual([16, "no token"]);
  });
});
