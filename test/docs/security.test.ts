import { expect, test } from "vitest";
import { parseListenAddress } from "../../src/server/listen/listen-address.ts";
import { SETTINGS } from "../../src/server/settings/settings.ts";
import { readDocument } from "./markdown.ts";

const page = readDocument("SECURITY.md");

test("SECURITY.md names the default ports of the server", () => {
  const ports = (["listen", "statusListen", "adminListen"] as const).map((setting) => {
    const address = parseListenAddress(SETTINGS[setting].fallback ?? "");
    return "kind" in address && address.kind === "tcp" ? address.port : -1;
  });
  for (const port of ports) expect(page).toContain(`port, ${port}`);
  const named = new Set(page.match(/\b9\d{3}\b/g)?.map(Number));
  expect([...named].toSorted()).toEqual(ports);
});

test("SECURITY.md names only flags that the server has", () => {
  const flags = new Set(Object.values(SETTINGS).map(({ flag }) => `--${flag}`));
  const named = [...page.matchAll(/`(--[a-z-]+)(?: [^`]*)?`/g)].map(([, flag = ""]) => flag);
  expect(named.length).toBeGreaterThan(3);
  expect(named.filter((flag) => !flags.has(flag))).toEqual([]);
});

test("the README links to SECURITY.md", () => {
  expect(readDocument("README.md")).toContain("(SECURITY.md)");
});
