import { describe, expect, test } from "vitest";
import { formatListenAddress, isLoopback, parseListenAddress } from "../../../src/server/listen/listen-address.ts";
import type { Problem } from "../../../src/text/problem.ts";

describe("parseListenAddress", () => {
  test.each([
    [":9002", { kind: "tcp", host: undefined, port: 9002 }],
    [":0", { kind: "tcp", host: undefined, port: 0 }],
    ["127.0.0.1:65535", { kind: "tcp", host: "127.0.0.1", port: 65535 }],
    ["localhost:1", { kind: "tcp", host: "localhost", port: 1 }],
    ["[::1]:9002", { kind: "tcp", host: "::1", port: 9002 }],
    ["[::]:9002", { kind: "tcp", host: "::", port: 9002 }],
    ["unix:/run/ext-proc.sock", { kind: "unix", path: "/run/ext-proc.sock" }],
    ["unix:relative.sock", { kind: "unix", path: "relative.sock" }],
    ["off", { kind: "off" }],
  ])("parseListenAddress reads %s, and the address prints in the same way", (text, address) => {
    const parsed = parseListenAddress(text);
    expect(parsed).toEqual(address);
    expect(formatListenAddress(parsed as never)).toBe(text);
  });

  test.each([
    "",
    "9002",
    ":",
    ":65536",
    ":99999",
    ":123456",
    ":-1",
    ":0x10",
    ":9002 ",
    " :9002",
    "host",
    "host:",
    "host:port",
    "::1:9002",
    "[::1]",
    "[::1]9002",
    "[nonsense]:9002",
    "[:::]:1",
    "a/b:9002",
    "http://127.0.0.1:9002",
    "tcp://10.0.0.1:9002",
    "unix:",
    "unix:a\0b",
    // No room in the folder for the name under which the socket is bound first.
    `unix:/${"f".repeat(100)}/a`,
    "OFF",
  ])("parseListenAddress says what is wrong with %j and how to write an address", (text) => {
    const { problem } = parseListenAddress(text) as Problem;
    expect(problem).toBeTypeOf("string");
    expect(problem).toContain(JSON.stringify(text));
    expect(problem).toContain('"127.0.0.1:9002"');
    expect(problem).not.toContain("\n");
  });
});

describe("isLoopback", () => {
  test.each(["127.0.0.1:1", "127.9.9.9:1", "localhost:1", "LOCALHOST:1", "[::1]:1", "unix:/a", "off"])(
    "isLoopback is true for %s",
    (text) => {
      expect(isLoopback(parseListenAddress(text) as never)).toBe(true);
    },
  );

  test.each([":1", "0.0.0.0:1", "[::]:1", "10.0.0.1:1", "127.0.0.1.example:1", "localhost.example:1"])(
    "isLoopback is false for %s",
    (text) => {
      expect(isLoopback(parseListenAddress(text) as never)).toBe(false);
    },
  );
});
