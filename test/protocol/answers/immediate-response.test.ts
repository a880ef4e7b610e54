import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  type ImmediateResponse,
  ProcessingResponseSchema,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { type ImmediateResponseInit, toImmediateResponse } from "../../../src/protocol/answers/immediate-response.ts";
import { bytes } from "../messages.ts";

/** What Envoy reads. */
function written(init: ImmediateResponseInit): ImmediateResponse {
  const message = toImmediateResponse(init);
  if ("problem" in message) throw new Error(message.problem);
  const { response } = fromBinary(ProcessingResponseSchema, toBinary(ProcessingResponseSchema, message));
  if (response.case !== "immediateResponse") throw new Error(`member ${response.case}`);
  return response.value;
}

function headersOf(init: ImmediateResponseInit): string[] {
  return (written(init).headers?.setHeaders ?? []).map(
    ({ header, append }) => `${header?.key} ${append ? "+=" : "="} ${new TextDecoder().decode(header?.rawValue)}`,
  );
}

/** Values that a caller without types can pass. */
function refusal(init: unknown): string {
  const message = toImmediateResponse(init as ImmediateResponseInit);
  if (!("problem" in message)) throw new Error("was accepted");
  return message.problem;
}

describe("toImmediateResponse", () => {
  test("toImmediateResponse of only a status leaves all other fields empty", () => {
    const response = written({ status: 403 });
    expect(response.status?.code).toBe(403);
    expect(response.headers).toBeUndefined();
    expect(response.grpcStatus).toBeUndefined();
    expect(response.details).toBe("");
    expect(response.body).toEqual(new Uint8Array());
  });

  test("toImmediateResponse carries body, content type, headers, gRPC status and details", () => {
    const response = written({
      status: 429,
      body: bytes("slow down"),
      contentType: "text/plain",
      headers: { "Retry-After": "1" },
      grpcStatus: 8,
      details: "rate limited",
    });
    expect(response.body).toEqual(bytes("slow down"));
    expect(response.grpcStatus?.status).toBe(8);
    expect(response.details).toBe("rate limited");
    expect(response.headers?.setHeaders.map(({ header }) => header?.key)).toEqual(["content-type", "retry-after"]);
  });

  test.each([200, 201, 418, 499, 599, 600, 999])(
    "toImmediateResponse takes status %i, whether Envoy's enum lists it or not",
    (status) => {
      expect(written({ status }).status?.code).toBe(status);
    },
  );

  test.each([0, 100, 199, 1000, 70_000, -1, 200.5, Number.NaN, Number.POSITIVE_INFINITY, "200", undefined, null])(
    "toImmediateResponse refuses status %s",
    (status) => {
      expect(refusal({ status })).toBe("status must be a whole number from 200 to 999");
    },
  );

  test.each([204, 304])("toImmediateResponse refuses a body with %i, and takes an empty one", (status) => {
    expect(refusal({ status, body: bytes("x") })).toBe(`status ${status} has no body`);
    expect(written({ status, body: new Uint8Array() }).status?.code).toBe(status);
  });

  test.each([-1, 1.5, 2 ** 32, Number.NaN, "0"])("toImmediateResponse refuses gRPC status %s", (grpcStatus) => {
    expect(refusal({ status: 200, grpcStatus })).toBe("grpcStatus must be a whole number from 0 to 4294967295");
  });

  test("toImmediateResponse distinguishes gRPC status 0 from an absent one", () => {
    expect(written({ status: 200, grpcStatus: 0 }).grpcStatus).toMatchObject({ status: 0 });
  });

  test("toImmediateResponse refuses details with a control character, or that are not text", () => {
    expect(refusal({ status: 200, details: "a\nb" })).toBe("details has a control character");
    expect(refusal({ status: 200, details: 5 })).toContain("details");
    expect(refusal({ status: 200, details: null })).toContain("details");
  });
});

describe("headers of an immediate response", () => {
  test("headers of an immediate response are lower-cased, the first value set, further values appended", () => {
    expect(headersOf({ status: 401, headers: { "Set-Cookie": ["a=1", bytes("b=2")], "X-A": "1" } })).toEqual([
      "set-cookie = a=1",
      "set-cookie += b=2",
      "x-a = 1",
    ]);
  });

  test("a content-type among the headers replaces the body's own", () => {
    expect(
      headersOf({ status: 200, contentType: "text/plain", headers: { "Content-Type": "application/problem+json" } }),
    ).toEqual(["content-type = application/problem+json"]);
  });

  test("an empty array of values gives no header", () => {
    expect(headersOf({ status: 200, headers: { "x-a": [] } })).toEqual([]);
  });

  test.each(["content-length", "Transfer-Encoding", "connection", "host", ":status", "", "a b", "a\r\nb"])(
    "headers of an immediate response may not be named %j",
    (name) => {
      expect(refusal({ status: 200, headers: { [name]: "s3cr3t" } })).not.toContain("s3cr3t");
    },
  );

  test("headers of an immediate response may not have control characters in their values", () => {
    const problem = refusal({ status: 200, headers: { "x-a": ["fine", "s3cr3t\r\nx-b: 1"] } });
    expect(problem).toBe(
      'value of header "x-a" has a control character, which Envoy rejects: character U+000D at index 6',
    );
  });

  test.each([5, null, true, {}, [["a"]], [undefined], new Date(0)])(
    "headers of an immediate response may not have %j as value",
    (value) => {
      expect(refusal({ status: 200, headers: { "x-a": value } })).toBe(
        'value of header "x-a" is neither a string nor bytes',
      );
    },
  );

  test.each([null, "text", 5, ["x-a"], new Map([["x-a", "1"]])])(
    "headers of an immediate response are refused if they are %j",
    (headers) => {
      expect(refusal({ status: 200, headers })).toContain("headers");
    },
  );
});
