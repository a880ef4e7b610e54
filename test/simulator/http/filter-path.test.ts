import { describe, expect, test } from "vitest";
import { type DataStatus, FilterPath } from "../../../src/simulator/http/filter-path.ts";
import { HeaderMap } from "../../../src/simulator/http/header-map.ts";
import { bytes, text } from "../servers.ts";

function pathWith(statuses: { headers?: "continue" | "stop"; data?: DataStatus; trailers?: "continue" | "stop" }) {
  const passed: string[] = [];
  const events: string[] = [];
  const path: FilterPath = new FilterPath({
    filter: {
      headers: () => statuses.headers ?? "continue",
      data: () => statuses.data ?? "continue",
      trailers: () => statuses.trailers ?? "continue",
    },
    end: {
      headers: (_, endStream) => passed.push(endStream ? "headers!" : "headers"),
      data: (data, endStream) => passed.push(text(data) + (endStream ? "!" : "")),
      trailers: () => passed.push("trailers"),
    },
    bufferLimitBytes: 4,
    trailersAreTheEnd: true,
    tooLarge: () => {
      events.push("too large");
      path.abort();
    },
    unblocked: () => events.push("unblocked"),
  });
  return { path, passed, events };
}

const headers = () => new HeaderMap("request", [[":path", "/"]]);

describe("FilterPath", () => {
  test("FilterPath passes a message that the filter lets go on", () => {
    const { path, passed } = pathWith({});
    path.receiveHeaders(headers(), false);
    path.receiveData(bytes("a"), false);
    path.receiveTrailers(new HeaderMap("trailers"));
    expect(passed).toEqual(["headers", "a", "trailers"]);
  });

  test("FilterPath keeps everything until it may go on, and ends it correctly", () => {
    const { path, passed } = pathWith({ headers: "stop", data: "stop_and_buffer" });
    path.receiveHeaders(headers(), false);
    path.receiveData(bytes("ab"), false);
    path.receiveData(bytes("c"), true);
    expect(passed).toEqual([]);
    path.resume();
    expect(passed).toEqual(["headers", "abc!"]);
  });

  test("FilterPath ends with headers if nothing came after them", () => {
    const { path, passed } = pathWith({ headers: "stop" });
    path.receiveHeaders(headers(), true);
    path.resume();
    expect(passed).toEqual(["headers!"]);
  });

  test("FilterPath sends headers before what is injected", () => {
    const { path, passed } = pathWith({ headers: "stop", data: "stop_no_buffer" });
    path.receiveHeaders(headers(), false);
    path.inject(bytes("x"), false);
    expect(passed).toEqual(["headers", "x"]);
  });

  test("FilterPath does not end twice", () => {
    const { path, passed } = pathWith({ data: "stop_no_buffer" });
    path.receiveHeaders(headers(), false);
    path.inject(bytes("x"), true);
    path.receiveData(bytes("y"), true);
    path.resume();
    expect(passed).toEqual(["headers", "x!"]);
  });

  test("FilterPath ends with trailers if there are any, whatever an injection declares", () => {
    const { path, passed } = pathWith({ data: "stop_no_buffer", trailers: "stop" });
    path.receiveHeaders(headers(), false);
    path.receiveTrailers(new HeaderMap("trailers"));
    path.inject(bytes("x"), true);
    path.resume();
    expect(passed).toEqual(["headers", "x", "trailers"]);
  });

  test("FilterPath reports that more is buffered than allowed", () => {
    const { path, events } = pathWith({ data: "stop_and_buffer" });
    path.receiveHeaders(headers(), false);
    path.receiveData(bytes("12345"), false);
    expect(events).toEqual(["too large"]);
  });

  test("FilterPath makes the source wait if the filter requests it, until the buffer is taken", () => {
    const { path, events } = pathWith({ data: "stop_and_watermark" });
    path.receiveHeaders(headers(), false);
    path.receiveData(bytes("12345"), false);
    expect(path.blocked).toBe(true);
    path.takeBuffered();
    expect([path.blocked, events]).toEqual([false, ["unblocked"]]);
  });

  test("FilterPath moves nothing once it is abandoned", () => {
    const { path, passed } = pathWith({});
    path.abort();
    path.receiveHeaders(headers(), true);
    path.inject(bytes("x"), true);
    expect(passed).toEqual([]);
  });
});
