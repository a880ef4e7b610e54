import { describe, expect, test } from "vitest";
import { HeaderMap } from "../../src/simulator/http/header-map.ts";
import { prepareLocalReply } from "../../src/simulator/local-reply.ts";
import { type AnswerInit, bytes, headerOf, simulate, text, warningCodes } from "./servers.ts";

type Reply = Extract<NonNullable<AnswerInit["response"]>, { case: "immediateResponse" }>["value"];

const immediate = (value: Reply): AnswerInit => ({ response: { case: "immediateResponse", value } });
const header = (key: string, value: string) => ({ header: { key, rawValue: bytes(value) } });
const head = (status: string | undefined, endOfStream = false): AnswerInit => {
  const headers = { headers: status === undefined ? [] : [{ key: ":status", rawValue: bytes(status) }] };
  const response = { case: "headersResponse" as const, value: { headers, endOfStream } };
  return { response: { case: "streamedImmediateResponse", value: { response } } };
};
const chunk = (body: string, endOfStream: boolean): AnswerInit => {
  const response = { case: "bodyResponse" as const, value: { body: bytes(body), endOfStream } };
  return { response: { case: "streamedImmediateResponse", value: { response } } };
};

describe("an immediate response", () => {
  test("an immediate response answers the client, and no request goes upstream", () => {
    const answer = immediate({
      status: { code: 401 },
      body: bytes("who?"),
      headers: { setHeaders: [header("x-a", "1")] },
      details: "not known here",
    });
    const outcome = simulate({ requestHeaders: [answer] });
    expect(outcome).toMatchObject({
      upstream: undefined,
      client: { status: 401 },
      responseCodeDetails: "not_known_here",
      counters: { immediate_responses_sent: 1, streams_closed: 1 },
    });
    expect(text(outcome.client.body)).toBe("who?");
    expect([headerOf(outcome.client, "x-a"), headerOf(outcome.client, "content-type")]).toEqual(["1", "text/plain"]);
  });

  test("an immediate response replaces the upstream's response", () => {
    expect(simulate({ responseHeaders: [immediate({ status: { code: 403 } })] }).client.status).toBe(403);
  });

  test("an immediate response resets a client that has headers", () => {
    const settings = { processingMode: { responseBodyMode: "STREAMED" as const } };
    const outcome = simulate({ responseBody: [immediate({ status: { code: 403 } })] }, settings, {
      response: { chunks: ["a", "b"], chunkIntervalMs: 5 },
    });
    expect(outcome.client).toMatchObject({ status: 200, end: "reset" });
  });

  test.each([
    [undefined, 200],
    [0, 200],
    [199, 200],
    [418, 418],
    [70_000, 4464],
  ])("an immediate response with status %s reaches the client with %i", (code, status) => {
    const reply = code === undefined ? {} : { status: { code } };
    expect(simulate({ requestHeaders: [immediate(reply)] }).client.status).toBe(status);
  });

  test("an immediate response loses headers from the first that cannot be sent on, and is sent", () => {
    const setHeaders = [header("x-a", "1"), header("x-b", "1\n"), header("x-c", "1")];
    const outcome = simulate({ requestHeaders: [immediate({ status: { code: 403 }, headers: { setHeaders } })] });
    expect(["x-a", "x-b", "x-c"].map((name) => headerOf(outcome.client, name))).toEqual(["1", undefined, undefined]);
    expect(outcome.counters.rejected_header_mutations).toBe(1);
    expect(warningCodes(outcome)).toContain("immediate_headers_cut");
  });

  test("an immediate response is a failure if it is disabled", () => {
    const outcome = simulate({ requestHeaders: [immediate({})] }, { disableImmediateResponse: true });
    expect(outcome).toMatchObject({ client: { status: 500 }, counters: { spurious_msgs_received: 1 } });
  });

  test("an immediate response has a status that a gRPC client reads", () => {
    const outcome = simulate(
      { requestHeaders: [immediate({ status: { code: 403 }, body: bytes("50% no") })] },
      {},
      {
        request: { headers: [["content-type", "application/grpc"]], chunks: ["x"] },
      },
    );
    expect(outcome.client.status).toBe(200);
    expect(headerOf(outcome.client, "grpc-status")).toBe("7");
    expect(headerOf(outcome.client, "grpc-message")).toBe("50%25 no");
  });
});

describe("a streamed immediate response", () => {
  test("a streamed immediate response comes in pieces, and the server gets no messages of the response", () => {
    const outcome = simulate({ requestHeaders: [head("202"), chunk("a", false), chunk("b", true)] });
    expect(outcome).toMatchObject({ client: { status: 202, end: "complete" }, upstream: undefined });
    expect(outcome).toMatchObject({ responseCodeDetails: "ext_proc_local_response" });
    expect(text(outcome.client.body)).toBe("ab");
  });

  test("a streamed immediate response may not begin with its body", () => {
    const outcome = simulate({ requestHeaders: [chunk("a", true)] });
    expect(outcome.responseCodeDetails).toBe("local_response_body_received_before_headers");
  });

  test("a streamed immediate response may be only headers if the request is buffered", () => {
    const settings = { processingMode: { requestBodyMode: "BUFFERED" as const } };
    expect(simulate({ requestHeaders: [head("202")] }, settings).client.status).toBe(500);
    expect(simulate({ requestHeaders: [head("202", true)] }, settings).client.status).toBe(202);
  });

  test("a streamed immediate response cannot be followed by an ordinary answer", () => {
    const outcome = simulate({ requestHeaders: [head("202"), { response: { case: "requestHeaders", value: {} } }] });
    expect(outcome.client).toMatchObject({ status: 202, end: "reset" });
  });

  test("a streamed immediate response needs a status that ends a response", () => {
    expect(simulate({ requestHeaders: [head(undefined, true)] }).client.status).toBe(502);
    expect(simulate({ requestHeaders: [head("100", true)] }).client.status).toBe(500);
  });

  test("a streamed immediate response does not exist before Envoy 1.37", () => {
    expect(simulate({ requestHeaders: [head("202", true)] }, { envoyVersion: "1.36" })).toMatchObject({
      client: { status: 500 },
      responseCodeDetails: "unhandled_message",
    });
  });
});

describe("prepareLocalReply", () => {
  const reply = { status: 503, body: bytes("no"), details: "" };

  test("prepareLocalReply sets length and status after the changes of its headers", () => {
    const mutate = (headers: HeaderMap) => {
      headers.set("content-length", bytes("99"));
      headers.set(":status", bytes("200"));
    };
    const { headers } = prepareLocalReply({ ...reply, mutate }, undefined);
    expect([headers.get(":status"), headers.get("content-length")]).toEqual(["503", "2"]);
  });

  test("prepareLocalReply sets no type and no length if there is no body", () => {
    const mutate = (headers: HeaderMap) => headers.set("content-type", bytes("text/html"));
    const { headers, endStream } = prepareLocalReply({ ...reply, body: bytes(""), mutate }, undefined);
    expect([headers.has("content-type"), endStream]).toEqual([false, true]);
  });

  test("prepareLocalReply answers HEAD with only headers", () => {
    const request = new HeaderMap("request", [[":method", "HEAD"]]);
    expect(prepareLocalReply(reply, request).endStream).toBe(true);
  });
});
