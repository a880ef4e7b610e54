import { expect, test } from "vitest";
import { ProcessRequestSchema } from "../../gen/extproc/debug/v1/debug_pb.js";
import { SimulateRequestSchema } from "../../gen/extproc/debug/v1/simulate_pb.js";
import { refuseJson } from "../../src/debug/json-problem.ts";

test.each<[string, unknown, string]>([
  ["an array", [], "expected an object, got an array"],
  ["a text", "x", "expected an object, got a string"],
  ["an unknown field", { reqest: {} }, "reqest: no such field; known fields are request, upstream, envoy, "],
  ["one further in", { request: { paht: "/" } }, "request.paht: no such field; known fields are method, path, "],
  ["one in a list", { routes: [{ name: "a" }, { nme: "b" }] }, "routes[1].nme: no such field; known fields are name, "],
  ["a wrong type", { request: { method: 5 } }, "request.method: expected string, got 5"],
  ["a wrong type in a list", { request: { chunks: ["a", 5] } }, "request.chunks[1]: expected string, got 5"],
  ["a value that is not a list", { request: { chunks: "a" } }, "request.chunks: "],
  ["a wrong type in a map", { metadata: { auth: 5 } }, "metadata.auth: 5"],
  ["a value that is not a map", { envoy: { grpcInitialMetadata: ["a"] } }, "envoy.grpcInitialMetadata: "],
  [
    "an unknown mode",
    { envoy: { processingMode: { requestBodyMode: "SOME" } } },
    "envoy.processingMode.requestBodyMode: expected one of NONE, STREAMED, BUFFERED, ",
  ],
  ["invalid base64", { request: { bodyBase64: "%%" } }, "request.bodyBase64: invalid base64 string"],
  ["a number that does not fit", { upstream: { status: -1 } }, "upstream.status: "],
  ["a null in a list", { routes: [null] }, "routes[0]: expected an object, got null"],
])("refuseJson names %s with its path", (_name, value, start) => {
  const problem = refuseJson(SimulateRequestSchema, value);
  expect(problem?.slice(0, start.length)).toBe(start);
  expect(problem).not.toContain("\n");
});

test("refuseJson also checks messages of Envoy", () => {
  const headers = { headers: { headers: [{ key: "a", value: "b" }, { kye: "c" }] } };
  expect(refuseJson(ProcessRequestSchema, { requests: [{}, { requestHeaders: headers }] })).toBe(
    "requests[1].requestHeaders.headers.headers[1].kye: no such field; known fields are key, value, rawValue",
  );
});

test.each<[string, unknown]>([
  ["nothing", {}],
  ["camelCase", { request: { bodyBase64: "aGk=" }, envoy: { processingMode: { requestBodyMode: "BUFFERED" } } }],
  ["snake_case", { request: { body_base64: "aGk=" }, envoy: { processing_mode: { request_body_mode: 2 } } }],
])("refuseJson accepts %s", (_name, value) => {
  expect(refuseJson(SimulateRequestSchema, value)).toBeUndefined();
});

test("a value that is nested too deeply is a problem, and does not overflow the stack", () => {
  let config: unknown = 1;
  for (let depth = 0; depth < 50_000; depth++) config = [config];
  expect(refuseJson(SimulateRequestSchema, { config })).toMatch(/^config: .*recursion depth/);
});
