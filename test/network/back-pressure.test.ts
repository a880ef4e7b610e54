import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ProcessingMode_BodySendMode } from "../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import { ProtocolConfigurationSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { hello } from "../../src/builtin/hello.ts";
import { heldProcessor } from "../server/held-processor.ts";
import { type StartedServer, serverForTest } from "../server/start-server.ts";
import { patience } from "../session/patient-rules.ts";
import { requestBody, requestHeaders, responseHeaders } from "./messages.ts";
import { http2Session, openRawCall } from "./raw-grpc.ts";

const CHUNKS = 300;
const CHUNK = new Uint8Array(64 * 1024);

/** How many body messages the server has read once it reads no more: the same number many times over. */
async function readAtRest({ metric }: StartedServer): Promise<number> {
  let count = -1;
  for (let same = 0; same < 30; same++) {
    const now = await metric('ext_proc_messages_total{phase="requestBody",origin="envoy"}');
    if (now !== count) same = 0;
    count = now;
  }
  return count;
}

test("the server does not read from a client that does not read, and the client gets everything when it reads again", async () => {
  const started = await serverForTest(hello);
  const session = http2Session(started.port);
  const call = openRawCall(session);
  const requestBodyMode = ProcessingMode_BodySendMode.FULL_DUPLEX_STREAMED;
  const protocolConfig = create(ProtocolConfigurationSchema, { requestBodyMode });
  call.send(requestHeaders([], false, { protocolConfig }));
  await call.next();
  call.stream.pause();
  for (let index = 0; index < CHUNKS; index++) call.send(requestBody(CHUNK, false));
  expect(await readAtRest(started)).toBeLessThan(100);

  const other = openRawCall(session);
  other.send(responseHeaders());
  expect((await other.next())?.response.case).toBe("responseHeaders");

  call.stream.resume();
  for (let index = 0; index < CHUNKS; index++) expect((await call.next())?.response.case).toBe("requestBody");
  call.stream.end();
  expect(await call.status).toBe("0");
});

test("the server stops reading messages that wait for a slow handler, and answers all of them in the end", async () => {
  const { processor, entered, release } = heldProcessor();
  const started = await serverForTest(processor, patience(processor));
  const call = openRawCall(http2Session(started.port));
  call.send(requestHeaders());
  await entered;
  for (let index = 0; index < CHUNKS; index++) call.send(requestBody(CHUNK, false));
  call.stream.end();
  expect(await readAtRest(started)).toBe(0);
  release();
  expect((await call.next())?.response.case).toBe("requestHeaders");
  for (let index = 0; index < CHUNKS; index++) expect((await call.next())?.response.case).toBe("requestBody");
  expect(await call.status).toBe("0");
});
