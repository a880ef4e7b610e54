import { describe, expect, test } from "vitest";
import { nearestName } from "../../../src/server/settings/nearest-name.ts";

const KNOWN = ["listen", "statusListen", "messageTimeoutMs", "maxMessageTimeoutMs", "onFault"];

describe("nearestName", () => {
  test.each([
    ["lisen", "listen"],
    ["Listen", "listen"],
    ["message_timeout_ms", "messageTimeoutMs"],
    ["message-timeout", "messageTimeoutMs"],
    ["max_message_timeout", "maxMessageTimeoutMs"],
    ["onfault", "onFault"],
    ["on_fualt", "onFault"],
  ])("nearestName takes %s for %s", (written, meant) => {
    expect(nearestName(written, KNOWN)).toBe(meant);
  });

  test.each(["", "<<", "x", "wholly", "__proto__", "constructor"])("nearestName finds no name near %j", (written) => {
    expect(nearestName(written, KNOWN)).toBeUndefined();
  });
});
