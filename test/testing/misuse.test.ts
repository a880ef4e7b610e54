import { describe, expect, test } from "vitest";
import { defineProcessor } from "../../src/processor/definition.ts";
import { simulate } from "../../src/simulation/simulate.ts";
import { simulateRemote } from "../../src/testing/simulate-remote.ts";

const processor = defineProcessor({ name: "nothing" });

describe("simulate", () => {
  test("simulate rejects a value that is not a processor", () => {
    const message = "simulate: the first argument is not a processor; make one with defineProcessor";
    expect(() => simulate({ name: "bare" } as never)).toThrow(new TypeError(message));
  });

  test.each([
    [{ evnoy: {} }, "options.evnoy: no such property; there are envoy, upstream, config, routes, patienceMs, operator"],
    [{ envoy: { procesingMode: {} } }, /^options\.envoy\.procesingMode: no such property; there are envoyVersion, /],
    [{ envoy: { envoyVersion: "1.37" } }, 'options.envoy.envoyVersion: "1.37" must be one of 1.36, 1.38, 1.39, 1.40'],
    [
      { envoy: { processingMode: { requestBodyMode: "BUFFER" } } },
      'options.envoy.processingMode.requestBodyMode: "BUFFER" must be one of NONE, STREAMED, BUFFERED, ',
    ],
    [
      { envoy: { perRoute: { processingMode: { requestTrailerMode: "NONE" } } } },
      'options.envoy.perRoute.processingMode.requestTrailerMode: "NONE" must be one of DEFAULT, SEND, SKIP',
    ],
    [{ envoy: { mutationRules: { allowAll: true } } }, /^options\.envoy\.mutationRules\.allowAll: no such property/],
    [{ envoy: { allowedOverrideModes: [{ body: 1 }] } }, /^options\.envoy\.allowedOverrideModes\[0\]\.body: no such/],
    [
      { envoy: { metadataOptions: { receiving: {} } } },
      "options.envoy.metadataOptions.receiving: no such property; there are forwardingNamespaces, receivingNamespaces",
    ],
    [
      { envoy: { metadataOptions: { receivingNamespaces: ["shop"] } } },
      "options.envoy.metadataOptions.receivingNamespaces.0: no such property; there are untyped, typed",
    ],
    [
      { envoy: { perRoute: { metadataOptions: { forwardingNamespaces: { untyped: "shop" } } } } },
      "options.envoy.perRoute.metadataOptions.forwardingNamespaces.untyped: must be a list of names",
    ],
    [{ envoy: { forwardRules: { allowed: [] } } }, /^options\.envoy\.forwardRules\.allowed: no such property/],
    [
      { envoy: { forwardRules: { disallowedHeaders: [{ exactly: "a" }] } } },
      /^options\.envoy\.forwardRules\.disallowedHeaders\[0\]\.exactly: no such property; there are exact, prefix, /,
    ],
    [{ envoy: { requestAttributes: "request.path" } }, "options.envoy.requestAttributes: must be a list of names"],
    [{ envoy: { messageTimeoutMs: "5s" } }, 'options.envoy.messageTimeoutMs: "5s" must be a number, 0 or more'],
    [{ envoy: { bufferLimitBytes: -1 } }, "options.envoy.bufferLimitBytes: -1 must be a number, 0 or more"],
    [{ envoy: { failureModeAllow: "false" } }, 'options.envoy.failureModeAllow: "false" must be true or false'],
    [{ envoy: { perRoute: { disabled: 1 } } }, "options.envoy.perRoute.disabled: 1 must be true or false"],
    [{ envoy: { mutationRules: { allowEnvoy: "y" } } }, 'options.envoy.mutationRules.allowEnvoy: "y" must be true or '],
    [{ envoy: { routeCacheAction: "KEEP" } }, 'options.envoy.routeCacheAction: "KEEP" must be one of DEFAULT, CLEAR, '],
    [{ envoy: "1.40" }, "options.envoy: is string, must be an object"],
    [{ patienceMs: -1 }, "options.patienceMs: -1 must be a number of milliseconds, 0 or more"],
    [{ operator: { onfault: "closed" } }, /^options\.operator\.onfault: no such property; there are envoy, onFault, /],
    [{ operator: { onFault: "shut" } }, 'options.operator.onFault: "shut" must be one of envoy, open, closed'],
    [{ operator: { envoy: { trailer: [] } } }, /^options\.operator\.envoy\.trailer: no such property/],
    [{ operator: { processors: { other: {} } } }, 'options.operator.processors: "other" must be one of nothing'],
  ])("simulate rejects the options %j", (options, message) => {
    expect(() => simulate(processor, options as never)).toThrow(TypeError);
    expect(() => simulate(processor, options as never)).toThrow(message);
  });

  test("simulate rejects mutation rules with an expression that RE2 does not accept", () => {
    const envoy = { mutationRules: { allowExpression: "(" } };
    expect(() => simulate(processor, { envoy })).toThrow(
      'envoy.mutationRules.allowExpression: "(" is not an RE2 expression',
    );
  });
});

describe("a request", () => {
  test.each([
    [{ path: "x" }, 'path: "x" must begin with "/"; a host goes under authority'],
    [{ path: "http://host/" }, 'path: "http://host/" must begin with "/"; a host goes under authority'],
    [{ boddy: "x" }, /^request\.boddy: no such property; there are method, path, body, json, /],
    [{ body: { a: 1 } }, "request.body: must be a string or a Uint8Array; a value goes under json"],
    [{ body: "a", json: 1 }, "request: has body and json, but one message has one body"],
    [{ json: () => 1 }, "request.json: is function, which JSON does not have"],
    [{ headers: { a: 1 } }, 'request.headers: "a" is number, must be a string, a Uint8Array, or an array of them'],
    [{ trailers: "x" }, "request.trailers: must be an object of names and values"],
    [{ response: { code: 200 } }, /^response\.code: no such property; there are status, /],
    [{ response: { status: "200" } }, "response.status: 200 must be 101 or a whole number from 200 to 999"],
    [{ response: { status: 100 } }, "response.status: 100 must be 101 or a whole number from 200 to 999"],
    [
      { response: { status: 101 } },
      'response.status: 101 needs a request that asks for an upgrade: headers { connection: "upgrade", upgrade: "websocket" }',
    ],
    [
      { headers: { connection: "upgrade", upgrade: "websocket" }, json: {} },
      "request.json: a tunnel has no body and no trailers; put what goes through it under chunks",
    ],
  ])("the simulator rejects the request %j", async (request, message) => {
    const envoy = simulate(processor);
    await expect(envoy.send(request as never)).rejects.toThrow(TypeError);
    await expect(envoy.send(request as never)).rejects.toThrow(message);
  });
});

describe("simulateRemote", () => {
  test.each([
    undefined,
    "",
    "localhost",
    "9002",
    "127.0.0.1:9002/path",
    "http://",
    "http://127.0.0.1:99999",
    "ftp://127.0.0.1:9002",
    "a b:1",
  ])("simulateRemote rejects %j as a server", (target) => {
    expect(() => simulateRemote(target as never)).toThrow(/ is not a server; write "127\.0\.0\.1:9002" or a URL$/);
  });

  test("simulateRemote rejects the option operator, which belongs to the server", () => {
    expect(() => simulateRemote("127.0.0.1:9002", { operator: {} } as never)).toThrow(/^options\.operator: no such/);
  });
});
