import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { HeaderValueOption_HeaderAppendAction as AppendAction } from "../../../gen/envoy/config/core/v3/base_pb.js";
import { HeaderMutationSchema } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import {
  type HeaderChange,
  headerValueOption,
  toHeaderMutation,
} from "../../../src/protocol/headers/header-mutation.ts";
import { bytes } from "../messages.ts";

const set = (name: string, value: string): HeaderChange => ({ op: "set", name, value: bytes(value) });
const append = (name: string, value: string): HeaderChange => ({ op: "append", name, value: bytes(value) });
const remove = (name: string): HeaderChange => ({ op: "remove", name });

/** The mutation in short, after a trip over the wire. */
function written(...changes: HeaderChange[]): { set: string[]; remove: string[] } | undefined {
  const mutation = toHeaderMutation(changes);
  if (mutation === undefined) return undefined;
  const { setHeaders, removeHeaders } = fromBinary(HeaderMutationSchema, toBinary(HeaderMutationSchema, mutation));
  return {
    set: setHeaders.map(
      ({ header, append }) => `${header?.key} ${append ? "+=" : "="} ${new TextDecoder().decode(header?.rawValue)}`,
    ),
    remove: removeHeaders,
  };
}

describe("headerValueOption", () => {
  test("headerValueOption overwrites with both fields: append false and OVERWRITE_IF_EXISTS_OR_ADD", () => {
    const option = headerValueOption("x-a", bytes("1"), "set");
    expect(option.append).toBe(false);
    expect(option.appendAction).toBe(AppendAction.OVERWRITE_IF_EXISTS_OR_ADD);
  });

  test("headerValueOption appends with both fields: append true and APPEND_IF_EXISTS_OR_ADD", () => {
    const option = headerValueOption("x-a", bytes("1"), "append");
    expect(option.append).toBe(true);
    expect(option.appendAction).toBe(AppendAction.APPEND_IF_EXISTS_OR_ADD);
  });

  test("headerValueOption writes only raw_value, byte for byte", () => {
    const every = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const option = headerValueOption("x-a", every, "set");
    expect(option.header).toMatchObject({ key: "x-a", value: "", rawValue: every });
  });
});

describe("toHeaderMutation", () => {
  test("toHeaderMutation is undefined if there is nothing to change", () => {
    expect(toHeaderMutation([])).toBeUndefined();
  });

  test("toHeaderMutation lists removals separately, and keeps the order of the rest", () => {
    expect(written(set("x-b", "1"), remove("x-old"), append("x-a", "2"))).toEqual({
      set: ["x-b = 1", "x-a += 2"],
      remove: ["x-old"],
    });
  });

  test("a later set replaces earlier values in a mutation", () => {
    expect(written(append("x-a", "1"), set("x-a", "2"))).toEqual({ set: ["x-a = 2"], remove: [] });
    expect(written(set("x-a", "1"), set("x-a", "2"))).toEqual({ set: ["x-a = 2"], remove: [] });
  });

  test("a later append adds to an earlier set in a mutation", () => {
    expect(written(set("set-cookie", "a=1"), append("set-cookie", "b=2"), append("set-cookie", "c=3"))).toEqual({
      set: ["set-cookie = a=1", "set-cookie += b=2", "set-cookie += c=3"],
      remove: [],
    });
  });

  test("a later remove cancels an earlier set or append in a mutation", () => {
    expect(written(set("x-a", "1"), remove("x-a"))).toEqual({ set: [], remove: ["x-a"] });
    expect(written(append("x-a", "1"), remove("x-a"))).toEqual({ set: [], remove: ["x-a"] });
  });

  test("a set or append after a remove replaces the old values in a mutation", () => {
    expect(written(remove("x-a"), set("x-a", "1"))).toEqual({ set: ["x-a = 1"], remove: [] });
    expect(written(remove("x-a"), append("x-a", "1"))).toEqual({ set: ["x-a = 1"], remove: [] });
    expect(written(remove("x-a"), append("x-a", "1"), append("x-a", "2"))).toEqual({
      set: ["x-a = 1", "x-a += 2"],
      remove: [],
    });
  });

  test("toHeaderMutation sets an empty value as empty", () => {
    expect(written(set("x-a", ""))).toEqual({ set: ["x-a = "], remove: [] });
  });

  test("toHeaderMutation takes names of object members for ordinary names", () => {
    expect(written(set("__proto__", "1"), set("constructor", "2"), remove("__proto__"))).toEqual({
      set: ["constructor = 2"],
      remove: ["__proto__"],
    });
  });
});
