import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { defineProcessor, immediateResponse } from "../../src/index.ts";
import { simulate } from "../../src/simulation/simulate.ts";

const gate = defineProcessor({
  name: "gate",
  onFault: "closed",
  timeoutMs: 3_000,
  async requestHeaders() {
    await delay(100);
    return immediateResponse(401);
  },
});
/** A route whose trailers are skipped although its body is full duplex: Envoy does not wait with them. */
const envoy = { perRoute: { processingMode: { requestBodyMode: "FULL_DUPLEX_STREAMED" } } } as const;
const request = { method: "POST", protocol: "http2", chunks: ["body"], trailers: { "x-t": "1" } } as const;

test.each(["1.36", "1.38", "1.39", "1.40"] as const)(
  "a gate that a simulated Envoy %s passes by is a warning that names the handler and the setting",
  async (envoyVersion) => {
    const simulated = simulate(gate, { envoy: { ...envoy, envoyVersion }, patienceMs: 10 });
    const { response, warnings } = await simulated.send(request);
    expect(response.status).toBe(200);
    expect(warnings).toMatchObject([
      {
        code: "answer_not_awaited",
        phase: "requestHeaders",
        rule: expect.stringContaining('processor "gate"'),
        wayOut: expect.stringContaining("trailer mode to SEND"),
      },
    ]);
  },
);

test("a client that leaves while a handler runs does not cause a warning about a passed gate", async () => {
  const { warnings } = await simulate(gate, { patienceMs: 10 }).send({ ...request, trailers: {}, abortAfterMs: 5 });
  expect(warnings).toEqual([]);
});

test("a response handler that a simulated Envoy skips is a fault under the policy closed", async () => {
  const processor = defineProcessor({ name: "p", onFault: "closed", responseHeaders: () => undefined });
  const skipping = { processingMode: { responseHeaderMode: "SKIP" } } as const;
  const { faults } = await simulate(processor, { envoy: skipping }).get("/");
  expect(faults).toMatchObject([{ code: "phase_not_sent" }]);
});
