import { afterEach, describe, expect, test } from "vitest";
import { continueAndReplace, defineProcessor, overrideMode, replaceText, setPath } from "../../src/index.ts";
import { type EnvoyRig, envoyBinary, misbehaviour, NO_MISBEHAVIOUR, startEnvoyRig } from "./envoy-rig.ts";

let rig: EnvoyRig | undefined;

afterEach(async () => {
  await rig?.stop();
  rig = undefined;
});

describe.skipIf(envoyBinary === undefined)("a body that replaces another behind a real Envoy", () => {
  test("a replaced body can come with another path, and with an override for the other direction", async () => {
    const seen: unknown[] = [];
    const processor = defineProcessor({
      name: "p",
      requestHeaders: () => [
        continueAndReplace("new request"),
        setPath("/other"),
        overrideMode({ responseHeaders: "SKIP" }),
      ],
      responseHeaders: () => {
        seen.push("headers");
      },
    });
    rig = await startEnvoyRig(processor, { allow_mode_override: true }, "admin", {
      envoy: { messageTimeoutMs: 5000, allowModeOverride: true },
    });
    const response = await rig.send({ method: "POST", chunks: [Buffer.from("old")] });
    expect([response.status, response.body.toString(), seen]).toEqual([200, "new request", []]);
    expect(rig.upstream.seen[0]).toMatchObject({ path: "/other" });
    expect(misbehaviour(await rig.counters())).toEqual(NO_MISBEHAVIOUR);
  });

  test("the override next to a replaced body makes Envoy send the response body and its trailers", async () => {
    const processor = defineProcessor({
      name: "p",
      requestHeaders: () => continueAndReplace("new request"),
      responseBody: { read: "text", required: true, handle: (text) => replaceText(text.toUpperCase()) },
    });
    rig = await startEnvoyRig(processor, { allow_mode_override: true }, "admin", {
      envoy: { messageTimeoutMs: 5000, allowModeOverride: true },
    });
    const response = await rig.send({ method: "POST", chunks: [Buffer.from("old")] });
    expect([response.status, response.body.toString()]).toEqual([200, "NEW REQUEST"]);
    expect(response.trailers).toMatchObject({ "x-upstream-trailer": "kept" });
    expect(misbehaviour(await rig.counters())).toEqual(NO_MISBEHAVIOUR);
  });
});
