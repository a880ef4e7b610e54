import { describe, expect, test } from "vitest";
import { header } from "../../src/protocol/headers/headers.ts";
import {
  httpHeaders,
  httpTrailers,
  requestBody,
  requestHeaders,
  requestTrailers,
  responseBody,
  responseHeaders,
  responseTrailers,
} from "../../src/simulation/messages.ts";
import { bodyOf, bytes, headersOf, trailersOf } from "../protocol/messages.ts";

describe("message builders", () => {
  test("message builders write headers as Envoy does: lower-case names, exact bytes, in order", () => {
    const built = requestHeaders({ ":path": "/x", "X-Many": ["a", Uint8Array.of(0xff)], ":method": "GET" });
    const sent = [
      [":path", "/x"],
      ["x-many", "a"],
      ["x-many", Uint8Array.of(0xff)],
      [":method", "GET"],
    ] as const;
    expect(built).toEqual(headersOf("requestHeaders", sent));
  });

  test("message builders write the other fields of a message with headers", () => {
    const more = { endOfStream: true, observabilityMode: true };
    expect(responseHeaders({ ":status": "200" }, more)).toEqual(
      headersOf("responseHeaders", [[":status", "200"]], more),
    );
  });

  test("message builders write pieces of bodies, from text or bytes", () => {
    expect(requestBody("ä", { endOfStream: true })).toEqual(bodyOf("requestBody", "ä", { endOfStream: true }));
    expect(responseBody(Uint8Array.of(1))).toEqual(bodyOf("responseBody", Uint8Array.of(1)));
  });

  test("message builders write trailers", () => {
    expect(requestTrailers({ a: "1" })).toEqual(trailersOf("requestTrailers", [["a", "1"]]));
    expect(responseTrailers()).toEqual(trailersOf("responseTrailers"));
  });

  test("message builders make the messages that handlers read", () => {
    expect(header(httpHeaders({ accept: ["text/html", "text/plain"] }), "Accept")).toBe("text/html, text/plain");
    expect(header(httpTrailers({ "x-sum": bytes("1") }), "x-sum")).toBe("1");
    expect(httpHeaders({}, true).endOfStream).toBe(true);
  });

  test.each([
    [{ a: 1 }, 'headers: "a" is number, must be a string, a Uint8Array, or an array of them'],
    [{ a: ["b", null] }, 'headers: "a" is null, must be a string, a Uint8Array, or an array of them'],
    [{ a: undefined }, 'headers: "a" is undefined, must be a string, a Uint8Array, or an array of them'],
    [[["a", "b"]], 'headers: must be an object of names and values, such as { "x-user": "ada" }'],
  ])("message builders refuse headers that are not valid: %j", (headers, message) => {
    expect(() => requestHeaders(headers as never)).toThrow(new TypeError(message));
  });

  test("message builders refuse a body that is neither text nor bytes", () => {
    const message = "body: must be a string or a Uint8Array; a value goes under json";
    expect(() => requestBody({ a: 1 } as never)).toThrow(new TypeError(message));
  });
});
