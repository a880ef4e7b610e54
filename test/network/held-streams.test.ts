import { expect, test } from "vitest";
import { heldProcessor } from "../server/held-processor.ts";
import { serverForTest } from "../server/start-server.ts";
import { requestHeaders } from "./messages.ts";
import { http2Session, openRawCall } from "./raw-grpc.ts";

const HELD = "ext_proc_http2_streams_held";

test("a handler whose stream was reset is counted as held until it settles", async () => {
  const { processor, entered, release } = heldProcessor();
  const { port, metric } = await serverForTest(processor);
  const session = http2Session(port);
  const calls = [openRawCall(session), openRawCall(session)];
  for (const call of calls) call.send(requestHeaders());
  await entered;
  for (const call of calls) call.reset("INTERNAL_ERROR");
  await expect.poll(() => metric(HELD)).toBe(2);
  release();
  await expect.poll(() => metric(HELD)).toBe(0);
});

test("a handler whose connection is gone is counted as held until it settles", async () => {
  const { processor, entered, release } = heldProcessor();
  const { port, metric } = await serverForTest(processor);
  const session = http2Session(port);
  openRawCall(session).send(requestHeaders());
  await entered;
  session.destroy();
  await expect.poll(() => metric(HELD)).toBe(1);
  release();
  await expect.poll(() => metric(HELD)).toBe(0);
});
