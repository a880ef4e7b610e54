import { describe, expect, test } from "vitest";
import type { HeaderChange } from "../../../src/protocol/headers/header-mutation.ts";
import { refuseHeaderChange, refuseName, refuseValueBytes } from "../../../src/protocol/headers/header-rules.ts";
import { PHASES, type Phase } from "../../../src/protocol/phase.ts";
import { bytes } from "../messages.ts";

const EDITABLE: readonly Phase[] = ["requestHeaders", "requestTrailers", "responseHeaders", "responseTrailers"];
const FRAMING = [
  "content-length",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "upgrade",
];
const SECRET = "s3cr3t";

const set = (name: string, value: string | Uint8Array = "v"): HeaderChange => ({
  op: "set",
  name,
  value: typeof value === "string" ? bytes(value) : value,
});
const append = (name: string, value = "v"): HeaderChange => ({ op: "append", name, value: bytes(value) });
const remove = (name: string): HeaderChange => ({ op: "remove", name });

describe("ordinary headers", () => {
  test.each(EDITABLE)("ordinary headers may be set, appended and removed in %s", (phase) => {
    for (const name of ["x-a", "set-cookie", "x_b", "1", "!#$%&'*+-.^_`|~", "__proto__"]) {
      expect(refuseHeaderChange(set(name), phase)).toBeUndefined();
      expect(refuseHeaderChange(append(name), phase)).toBeUndefined();
      expect(refuseHeaderChange(remove(name), phase)).toBeUndefined();
    }
  });

  test.each(["", "a b", "a:b", "a\n", "é", "X-Upper", "a\u0000", "a,b", "a/b", "(a)", '"a"', "\u212a"])(
    "ordinary headers cannot be named %j",
    (name) => {
      for (const change of [set(name), append(name), remove(name)])
        expect(refuseHeaderChange(change, "requestHeaders")).toBeTypeOf("string");
    },
  );

  test("header host may be set but not removed, since Envoy never removes it", () => {
    expect(refuseHeaderChange(set("host", "a.example"), "requestHeaders")).toBeUndefined();
    expect(refuseHeaderChange(remove("host"), "requestHeaders")).toBe('header "host" cannot be removed');
  });
});

describe("framing headers", () => {
  test.each(FRAMING)("framing header %s may not be changed by an author in any way, in any phase", (name) => {
    for (const phase of PHASES) {
      for (const change of [set(name, "5"), append(name, "5"), remove(name)]) {
        expect(refuseHeaderChange(change, phase)).toBe(
          `header "${name}" defines the framing of the message, so only the server sets it`,
        );
      }
    }
    expect(refuseName(name)).toContain("defines the framing of the message");
  });
});

describe("pseudo-headers", () => {
  test.each([
    [":path", "/a?b=c"],
    [":path", "*"],
    [":method", "POST"],
    [":scheme", "https"],
    [":authority", "a.example:8080"],
  ])("pseudo-header %s may be set to %s on a request", (name, value) => {
    expect(refuseHeaderChange(set(name, value), "requestHeaders")).toBeUndefined();
  });

  test.each(["200", "201", "404", "599", "999"])("pseudo-header :status may be set to %s on a response", (value) => {
    expect(refuseHeaderChange(set(":status", value), "responseHeaders")).toBeUndefined();
  });

  test.each([
    ["requestHeaders", ":status"],
    ["requestHeaders", ":nonsense"],
    ["requestHeaders", ":"],
    ["responseHeaders", ":path"],
    ["responseHeaders", ":method"],
    ["responseHeaders", ":authority"],
  ] as const)("phase %s has no pseudo-header named %s", (phase, name) => {
    expect(refuseHeaderChange(set(name, "200"), phase)).toBe(`${phase} has no pseudo-header "${name}"`);
  });

  test.each(["requestTrailers", "responseTrailers"] as const)("phase %s has no pseudo-headers", (phase) => {
    for (const name of [":path", ":status", ":x"])
      expect(refuseHeaderChange(set(name, "/"), phase)).toBe(`trailers have no pseudo-header "${name}"`);
  });

  test("pseudo-headers cannot be removed or appended to", () => {
    expect(refuseHeaderChange(remove(":path"), "requestHeaders")).toBe('pseudo-header ":path" cannot be removed');
    expect(refuseHeaderChange(append(":path", "/a"), "requestHeaders")).toContain("set it instead of appending");
    expect(refuseHeaderChange(append(":status", "200"), "responseHeaders")).toContain("set it instead of appending");
  });

  test.each(["", "a", "http://a/", "**", "*a", " /a"])("pseudo-header :path cannot be %j", (value) => {
    expect(refuseHeaderChange(set(":path", value), "requestHeaders")).toContain('":path" must begin with "/"');
  });

  test.each(["", "GET /admin", "GET\t", "GÉT", "a:b"])(
    "pseudo-header :method cannot be %j, which is not a token",
    (value) => {
      expect(refuseHeaderChange(set(":method", value), "requestHeaders")).toContain('":method" must be a token');
    },
  );

  test.each(["", "99", "100", "199", "1000", "abc", "2 0", "+20", "20０"])(
    "pseudo-header :status cannot be %j",
    (value) => {
      expect(refuseHeaderChange(set(":status", value), "responseHeaders")).toContain("number from 200 to 999");
    },
  );

  test.each([
    ["/é", "character U+00E9 at index 1", encodeURI],
    ["/a b", "character U+0020 at index 2", encodeURI],
    ["/a\tb", "character U+0009 at index 2", encodeURI],
    ["/a\u2028", "character U+2028 at index 2", encodeURI],
    ["/a😀", "character U+1F600 at index 2", encodeURI],
    ["/a\r\nx:y", "character U+000D at index 2", encodeURI],
    ["/a#b", "character U+0023 at index 2", (path: string) => path.replace("#", "%23")],
  ])(
    "pseudo-header :path cannot be %j: the message names the character and a correct form",
    (path, character, wayOut) => {
      const refusal = refuseHeaderChange(set(":path", path), "requestHeaders");
      expect(refusal).toContain(`pseudo-header ":path" cannot have ${character}`);
      expect(refusal).toContain(wayOut === encodeURI ? "encodeURI()" : '"%23"');
      expect(refuseHeaderChange(set(":path", wayOut(path)), "requestHeaders")).toBeUndefined();
    },
  );

  test.each([":authority", "host"])("pseudo-header %s takes a host beyond ASCII only as punycode", (name) => {
    const refusal = refuseHeaderChange(set(name, "münchen.example"), "requestHeaders");
    expect(refusal).toContain("cannot have character U+00FC at index 1, for which Envoy would drop the change");
    expect(refusal).toContain('new URL("http://" + host).host');
    const wayOut = new URL("http://münchen.example").host;
    expect(refuseHeaderChange(set(name, wayOut), "requestHeaders")).toBeUndefined();
    expect(refuseHeaderChange(set(name, "outbound|9002||x"), "requestHeaders")).toContain("U+007C at index 8");
  });

  test("a message names a byte that is not UTF-8 as a byte", () => {
    const change = set(":path", Uint8Array.of(0x2f, 0x61, 0xe9));
    expect(refuseHeaderChange(change, "requestHeaders")).toContain("byte 0xe9 at index 2");
  });

  test("values of pseudo-headers follow the rule on control characters too", () => {
    expect(refuseHeaderChange(set("x-a", "é\r\nx:y"), "requestHeaders")).toContain("character U+000D at index 1");
    expect(refuseHeaderChange(set(":authority", "a\u0000"), "requestHeaders")).toContain("character U+0000 at index 1");
  });
});

describe("values", () => {
  test("values of headers take tab and every byte from 0x20 up, except DEL", () => {
    for (let byte = 0; byte < 256; byte++) {
      const fine = byte === 0x09 || (byte >= 0x20 && byte !== 0x7f);
      expect(refuseValueBytes("x-a", Uint8Array.of(0x61, byte, 0x62)) === undefined).toBe(fine);
    }
    expect(refuseValueBytes("x-a", new Uint8Array())).toBeUndefined();
  });

  test("values of headers are at most 60 KiB, as the default limit of all headers of a request", () => {
    const longest = new Uint8Array(60 * 1024).fill(0x61);
    expect(refuseHeaderChange(set("x-a", longest), "requestHeaders")).toBeUndefined();
    expect(refuseHeaderChange(set("x-a", new Uint8Array(60 * 1024 + 1).fill(0x61)), "requestHeaders")).toBe(
      'value of header "x-a" is longer than 61440 bytes',
    );
    expect(refuseName("a".repeat(60 * 1024))).toBeUndefined();
    expect(refuseName("a".repeat(60 * 1024 + 1))).toBe("a header name is longer than 61440 bytes");
  });
});

describe("messages about headers", () => {
  test("messages about headers never contain the value", () => {
    const refused: [HeaderChange, Phase][] = [
      [set("x-a", `${SECRET}\n`), "requestHeaders"],
      [set("x-a", SECRET.repeat(20_000)), "requestHeaders"],
      [set("content-length", SECRET), "requestHeaders"],
      [set("a b", SECRET), "requestHeaders"],
      [set(":path", SECRET), "requestHeaders"],
      [set(":path", `/${SECRET} x`), "requestHeaders"],
      [set(":method", `${SECRET} x`), "requestHeaders"],
      [set(":status", SECRET), "responseHeaders"],
      [set(":path", SECRET), "responseHeaders"],
      [set(":status", SECRET), "responseTrailers"],
      [append(":authority", SECRET), "requestHeaders"],
    ];
    for (const [change, phase] of refused) {
      const message = refuseHeaderChange(change, phase);
      expect(message).toBeTypeOf("string");
      expect(message).not.toContain(SECRET);
    }
  });

  test("messages about headers are one short line, even for a name that a client chose", () => {
    const long = "y".repeat(50_000);
    for (const [name, value] of [
      [`x\n${long}`, "v"],
      [`:${"\u001b[31m".repeat(100)}`, "v"],
      [`:${long}`, "v"],
      [long, "v\n"],
      [long, long + long],
    ] as const) {
      const message = refuseHeaderChange(set(name, value), "requestHeaders") ?? "";
      expect(message).not.toBe("");
      expect(message).not.toMatch(/\p{Cc}/u);
      expect(message.length).toBeLessThan(600);
    }
  });
});
