import { serve } from "ext-proc/server";
import { afterAll, expect, test } from "vitest";
import greeter from "./processor.js";

const quiet = () => undefined;
const server = await serve(greeter, {
  listen: "127.0.0.1:0",
  statusListen: "off",
  adminListen: "off",
  debug: "on",
  log: { info: quiet, warn: quiet, error: quiet },
});
afterAll(() => server.close());

/** The answers to one transaction's messages. */
async function ask(...requests: object[]): Promise<unknown> {
  const answer = await fetch(`http://${server.address}/extproc.debug.v1.DebugService/Process`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ requests }),
  });
  return ((await answer.json()) as { responses: unknown }).responses;
}

const requestFrom = (user: string) => ({ requestHeaders: { headers: { headers: [{ key: "x-user", value: user }] } } });
const settingHeader = (key: string, text: string) => ({
  response: { headerMutation: { setHeaders: [{ header: { key, rawValue: btoa(text) } }] } },
});

test("greets the user on the request, and signs the response", async () => {
  expect(await ask(requestFrom("ada"), { responseHeaders: {} })).toMatchObject([
    { requestHeaders: settingHeader("x-greeting", "hello ada") },
    { responseHeaders: settingHeader("x-served-by", "ext-proc") },
  ]);
});

test("answers /ping itself", async () => {
  const ping = { requestHeaders: { headers: { headers: [{ key: ":path", value: "/ping" }] } } };
  expect(await ask(ping)).toMatchObject([{ immediateResponse: { status: { code: "OK" }, body: btoa("pong\n") } }]);
});
