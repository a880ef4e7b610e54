import { describe, expect, test } from "vitest";
import { HeaderMap } from "../../../src/simulator/http/header-map.ts";
import { bytes } from "../servers.ts";

const names = (map: HeaderMap) => map.entries.map(([name]) => name);

describe("HeaderMap", () => {
  test("HeaderMap keeps several lines of one name in order", () => {
    const map = new HeaderMap("response", [
      ["Set-Cookie", "a=1"],
      ["x-a", "1"],
      ["set-cookie", "b=2"],
    ]);
    expect(names(map)).toEqual(["set-cookie", "x-a", "set-cookie"]);
    expect(map.get("set-cookie")).toBe("a=1");
  });

  test("HeaderMap joins values of a header that has one slot", () => {
    const map = new HeaderMap("request", [
      ["x-forwarded-for", "1"],
      ["x-forwarded-for", "2"],
    ]);
    expect(map.get("x-forwarded-for")).toBe("1,2");
    expect(map.size).toBe(1);
  });

  test("HeaderMap has pseudo-headers in front, also those that come later", () => {
    const map = new HeaderMap("request", [
      [":path", "/"],
      ["x-a", "1"],
      [":method", "GET"],
    ]);
    expect(names(map)).toEqual([":path", ":method", "x-a"]);
    map.set(":path", bytes("/new"));
    expect(names(map)).toEqual([":method", ":path", "x-a"]);
  });

  test("HeaderMap takes host for :authority only in a request", () => {
    const request = new HeaderMap("request", [["host", "a"]]);
    expect(request.get(":authority")).toBe("a");
    expect(new HeaderMap("response", [["host", "a"]]).has(":authority")).toBe(false);
  });

  test("HeaderMap puts a header that is set at the end, instead of all of its lines", () => {
    const map = new HeaderMap("response", [
      ["x-a", "1"],
      ["x-b", "1"],
      ["x-a", "2"],
    ]);
    map.set("X-A", bytes("3"));
    expect(names(map)).toEqual(["x-b", "x-a"]);
  });

  test("HeaderMap counts bytes of names and values", () => {
    expect(new HeaderMap("trailers", [["abc", "de"]]).byteSize).toBe(5);
  });

  test("HeaderMap changes without its copy", () => {
    const map = new HeaderMap("response", [["x-a", "1"]]);
    const copy = map.clone();
    copy.remove("x-a");
    expect([map.size, copy.size]).toEqual([1, 0]);
  });
});
