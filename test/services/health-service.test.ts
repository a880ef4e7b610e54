import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.js";
import { healthService } from "../../src/services/health-service.ts";
import { ServingState } from "../../src/services/serving-state.ts";
import { nextTurn } from "../session/deferred.ts";

const EXTERNAL_PROCESSOR = "envoy.service.ext_proc.v3.ExternalProcessor";
const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = ServingStatus;

function clientOf(state: ServingState) {
  return createClient(
    Health,
    createRouterTransport(({ service }) => void service(Health, healthService(state))),
  );
}

/** The statuses of a watch, one at a time; undefined once it has ended. */
function watch(state: ServingState, service: string, signal?: AbortSignal) {
  const stream = clientOf(state)
    .watch({ service }, signal ? { signal } : {})
    [Symbol.asyncIterator]();
  return async () => (await stream.next()).value?.status as ServingStatus | undefined;
}

describe("Check", () => {
  test.each(["", EXTERNAL_PROCESSOR])("Check of %j follows the serving state", async (service) => {
    const state = new ServingState();
    const client = clientOf(state);
    expect((await client.check({ service })).status).toBe(SERVING);
    state.serving = false;
    expect((await client.check({ service })).status).toBe(NOT_SERVING);
    state.serving = true;
    expect((await client.check({ service })).status).toBe(SERVING);
  });

  test.each(["nobody", "grpc.health.v1.Health", "__proto__", EXTERNAL_PROCESSOR.toLowerCase(), "x".repeat(10_000)])(
    "Check of the unknown service %.40s is NOT_FOUND",
    async (service) => {
      const error = await clientOf(new ServingState())
        .check({ service })
        .catch((reason: unknown) => ConnectError.from(reason));
      expect(error).toMatchObject({ code: Code.NotFound });
      expect((error as ConnectError).rawMessage.length).toBeLessThan(200);
    },
  );
});

test("List names exactly the server and its service", async () => {
  const state = new ServingState();
  const statuses = async () =>
    Object.entries((await clientOf(state).list({})).statuses).map(([service, { status }]) => [service, status]);
  expect(await statuses()).toEqual([
    ["", SERVING],
    [EXTERNAL_PROCESSOR, SERVING],
  ]);
  state.serving = false;
  expect(await statuses()).toEqual([
    ["", NOT_SERVING],
    [EXTERNAL_PROCESSOR, NOT_SERVING],
  ]);
});

describe("Watch", () => {
  test("Watch sends the status at once, then every change", async () => {
    const state = new ServingState();
    const next = watch(state, EXTERNAL_PROCESSOR);
    expect(await next()).toBe(SERVING);
    for (const serving of [false, true, false]) {
      const pending = next();
      await nextTurn();
      state.serving = serving;
      expect(await pending).toBe(serving ? SERVING : NOT_SERVING);
    }
  });

  test("Watch sends nothing if the status does not change", async () => {
    const state = new ServingState();
    const next = watch(state, "");
    expect(await next()).toBe(SERVING);
    const pending = next();
    state.serving = true;
    await nextTurn();
    state.serving = false;
    expect(await pending).toBe(NOT_SERVING);
  });

  test("Watch does not miss a change that comes while the client reads", async () => {
    const state = new ServingState();
    const next = watch(state, "");
    expect(await next()).toBe(SERVING);
    state.serving = false;
    expect(await next()).toBe(NOT_SERVING);
  });

  test("Watch of an unknown service sends SERVICE_UNKNOWN and stays open", async () => {
    const state = new ServingState();
    const next = watch(state, "nobody");
    expect(await next()).toBe(SERVICE_UNKNOWN);
    let told = false;
    const pending = next().then((status) => {
      told = true;
      return status;
    });
    state.serving = false;
    await nextTurn();
    expect(told).toBe(false);
    state.end();
    expect(await pending).toBeUndefined();
  });

  test("Watch sends NOT_SERVING and ends when the server drains", async () => {
    const state = new ServingState();
    const next = watch(state, "");
    expect(await next()).toBe(SERVING);
    const pending = next();
    await nextTurn();
    state.end();
    expect(await pending).toBe(NOT_SERVING);
    expect(await next()).toBeUndefined();
  });

  test("Watch of a server that has ended sends NOT_SERVING and ends", async () => {
    const state = new ServingState();
    state.end();
    const next = watch(state, EXTERNAL_PROCESSOR);
    expect([await next(), await next()]).toEqual([NOT_SERVING, undefined]);
  });

  test("Watch ends when the caller leaves", async () => {
    const abort = new AbortController();
    const next = watch(new ServingState(), "", abort.signal);
    expect(await next()).toBe(SERVING);
    const pending = next().catch((reason: unknown) => ConnectError.from(reason).code);
    abort.abort();
    expect(await pending).toBe(Code.Canceled);
  });
});

describe("ServingState", () => {
  test("ServingState releases waiters at a change, and at an abort", async () => {
    const state = new ServingState();
    const abort = new AbortController();
    const changed = state.changed(abort.signal);
    state.serving = false;
    await changed;
    const aborted = state.changed(abort.signal);
    abort.abort();
    await aborted;
    expect([state.serving, state.ended]).toEqual([false, false]);
  });

  test("ServingState does not keep a waiter whose caller has left", async () => {
    await new ServingState().changed(AbortSignal.abort());
  });
});
