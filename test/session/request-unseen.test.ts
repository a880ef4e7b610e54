import { describe, expect, test } from "vitest";
import example from "../../examples/set-cookie/processor.js";
import { compose, defineProcessor, type Processor } from "../../src/index.ts";
import { describeProcessor } from "../../src/processor/describe/describe-processor.ts";
import { runRules } from "../../src/processor/run-rules.ts";
import { simulate } from "../../src/simulation/simulate.ts";
import { processAll } from "../network/grpc-js-client.ts";
import { responseHeaders } from "../network/messages.ts";
import { headersOf } from "../protocol/messages.ts";
import { serverForTest } from "../server/start-server.ts";
import { recordSession } from "./recorded-session.ts";

/** The example imports the built package, whose types differ from those of the sources. */
const setCookie = example as unknown as Processor;

const reader = (name: string) =>
  defineProcessor({ name, responseHeaders: (_headers, tx) => void tx.request.get("cookie") });
const SKIPPED = { envoy: { processingMode: { requestHeaderMode: "SKIP" } } } as const;

/** What was not enforced while these messages came. */
function unenforced(processor: Processor, ...phases: readonly ("requestHeaders" | "responseHeaders")[]) {
  const told: unknown[][] = [];
  const observer = {
    message: () => undefined,
    ended: () => undefined,
    unenforced: (...args: readonly unknown[]) => void told.push([...args]),
  };
  const { session, receive } = recordSession(processor, { observer });
  receive(...phases.map((phase) => headersOf(phase)));
  session.finish();
  return told;
}

describe("tx.request of a stream without request headers", () => {
  const told = ["request_headers_not_sent", "tx.request", "envoy"];

  test("a read of unseen request headers is reported once in a transaction, however many handlers read it", () => {
    expect(unenforced(reader("a"), "responseHeaders")).toEqual([told]);
    expect(unenforced(compose(reader("a"), reader("b")), "responseHeaders")).toEqual([told]);
  });

  test("a read of unseen request headers is reported if done alone reads it", () => {
    const processor = defineProcessor({
      name: "late",
      responseHeaders: () => undefined,
      done: (tx) => void tx.request.get("cookie"),
    });
    expect(unenforced(processor, "responseHeaders")).toEqual([told]);
  });

  test("a read of unseen request headers is not reported if no handler reads it, or if Envoy sent the request headers", () => {
    expect(unenforced(defineProcessor({ name: "a", responseHeaders: () => undefined }), "responseHeaders")).toEqual([]);
    expect(unenforced(reader("a"), "requestHeaders", "responseHeaders")).toEqual([]);
  });

  test("a read of unseen request headers is counted for each transaction, and logged once with the setting to change", async () => {
    const started = await serverForTest(reader("a"));
    for (let call = 0; call < 3; call++) await processAll(started.port, [responseHeaders()]);
    expect(await started.metric('ext_proc_unenforced_total{reason="request_headers_not_sent",origin="envoy"}')).toBe(3);
    const lines = started.logLines().filter(({ reason }) => reason === "request_headers_not_sent");
    expect(lines).toMatchObject([{ level: "warn", msg: expect.stringContaining("set request_header_mode: SEND") }]);
  });

  test("a read of unseen request headers is a warning of the simulator", async () => {
    const { warnings } = await simulate(reader("a"), SKIPPED).get("/");
    expect(warnings).toMatchObject([{ code: "request_headers_not_sent", wayOut: "set request_header_mode SEND" }]);
    expect((await simulate(reader("a")).get("/")).warnings).toEqual([]);
  });
});

test("the mode that check recommends for the set-cookie example lets a known visitor keep the cookie", async () => {
  const { processingMode } = describeProcessor(runRules(setCookie));
  const mode = processingMode.find(({ field }) => field === "request_header_mode")?.mode as "SEND" | "SKIP";
  const headers = { cookie: "__Host-visitor=1" };
  const envoy = { processingMode: { requestHeaderMode: mode } };
  const served = await simulate(setCookie, { envoy }).get("/", { headers });
  expect(served.response?.headers).not.toHaveProperty("set-cookie");
  // With SKIP the cookie of the visitor is not seen, and each response sets another.
  const skipped = await simulate(setCookie, SKIPPED).get("/", { headers });
  expect(skipped.response?.headers).toHaveProperty("set-cookie");
});
