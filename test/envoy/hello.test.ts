import { randomBytes } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { type EnvoyRig, envoyBinary, misbehaviour, NO_MISBEHAVIOUR, startEnvoyRig } from "./envoy-rig.ts";

let rig: EnvoyRig | undefined;

afterEach(async () => {
  await rig?.stop();
  rig = undefined;
});

const BODY_MODES: Readonly<Record<string, JsonObject>> = {
  "request BUFFERED, response STREAMED": {
    request_body_mode: "BUFFERED",
    response_body_mode: "STREAMED",
    request_trailer_mode: "SEND",
    response_trailer_mode: "SEND",
  },
  "request STREAMED, response BUFFERED": {
    request_body_mode: "STREAMED",
    response_body_mode: "BUFFERED",
    request_trailer_mode: "SEND",
    response_trailer_mode: "SEND",
  },
  "BUFFERED_PARTIAL both ways": {
    request_body_mode: "BUFFERED_PARTIAL",
    response_body_mode: "BUFFERED_PARTIAL",
    request_trailer_mode: "SEND",
    response_trailer_mode: "SEND",
  },
  "FULL_DUPLEX_STREAMED both ways": {
    request_body_mode: "FULL_DUPLEX_STREAMED",
    response_body_mode: "FULL_DUPLEX_STREAMED",
    request_trailer_mode: "SEND",
    response_trailer_mode: "SEND",
  },
};

describe.skipIf(envoyBinary === undefined)("hello behind a real Envoy", () => {
  test("upstream and client both see the header of the reference system", async () => {
    rig = await startEnvoyRig(hello);
    const response = await rig.send({ path: "/headers" });
    expect(response.status).toBe(200);
    expect(response.headers["x-ext-proc-header"]).toBe("hello-from-asm");
    expect(rig.upstream.seen[0]?.headers["x-ext-proc-header"]).toBe("hello-to-asm");
    expect(misbehaviour(await rig.counters())).toEqual(NO_MISBEHAVIOUR);
  });

  test("a client cannot forge the header that hello sets", async () => {
    rig = await startEnvoyRig(hello);
    await rig.send({ headers: { "x-ext-proc-header": ["forged", "twice"] } });
    expect(rig.upstream.seen[0]?.headers["x-ext-proc-header"]).toBe("hello-to-asm");
  });

  for (const [name, processingMode] of Object.entries(BODY_MODES)) {
    for (const withTrailers of [false, true]) {
      test(`a 50 kB POST ${withTrailers ? "with" : "without"} trailers passes unchanged: ${name}`, async () => {
        rig = await startEnvoyRig(hello, { processing_mode: processingMode });
        const chunks = [randomBytes(20_000), randomBytes(1), randomBytes(29_999)];
        const body = Buffer.concat(chunks);
        const response = await rig.send({
          method: "POST",
          chunks,
          headers: withTrailers ? { trailer: "x-client-trailer" } : { "content-length": String(body.length) },
          ...(withTrailers && { trailers: { "x-client-trailer": "kept" } }),
        });
        const [seen] = rig.upstream.seen;
        expect(response.status).toBe(200);
        expect(seen?.body.equals(body)).toBe(true);
        expect(response.body.equals(body)).toBe(true);
        expect(seen?.trailers).toEqual(withTrailers ? { "x-client-trailer": "kept" } : {});
        expect(response.trailers).toEqual({ "x-upstream-trailer": "kept" });
        expect(response.headers["x-ext-proc-header"]).toBe("hello-from-asm");
        expect(misbehaviour(await rig.counters())).toEqual(NO_MISBEHAVIOUR);
        expect(rig.logLines).toEqual(rig.logLines.filter((line) => "level" in line && line.level === "info"));
      });
    }
  }

  test("500 requests, 50 at a time, are all answered", async () => {
    rig = await startEnvoyRig(hello);
    const { send } = rig;
    let sent = 0;
    const statuses = new Map<number, number>();
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        while (sent++ < 500) {
          const { status } = await send({ path: `/${sent}` });
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
        }
      }),
    );
    expect([...statuses]).toEqual([[200, 500]]);
    expect(misbehaviour(await rig.counters())).toEqual(NO_MISBEHAVIOUR);
  });
});
