import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { HeaderValueOption_HeaderAppendAction as AppendAction } from "../../gen/envoy/config/core/v3/base_pb.js";
import {
  type HeaderMutation,
  HeaderMutationSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { type HeaderChange, toHeaderMutation } from "../../src/protocol/headers/header-mutation.ts";
import { bounded, fc } from "./seed.ts";

type Header = readonly [name: string, value: string];

const nameArbitrary = fc.constantFrom("x-a", "x-b", "set-cookie", "x-c");
const valueArbitrary = fc.constantFrom("", "1", "2", "3", "é");
const headersArbitrary = fc.array(fc.tuple(nameArbitrary, valueArbitrary), { maxLength: 8 });
const changeArbitrary: fc.Arbitrary<HeaderChange> = fc.oneof(
  fc.record({ op: fc.constant("set" as const), name: nameArbitrary, value: valueArbitrary.map(encode) }),
  fc.record({ op: fc.constant("append" as const), name: nameArbitrary, value: valueArbitrary.map(encode) }),
  fc.record({ op: fc.constant("remove" as const), name: nameArbitrary }),
);
const changesArbitrary = fc.array(changeArbitrary, { maxLength: 12 });

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function decode(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes);
}

const without = (headers: readonly Header[], name: string) => headers.filter(([key]) => key !== name);

/** The intended result of the changes: one after the other. */
function applyOneByOne(headers: readonly Header[], changes: readonly HeaderChange[]): readonly Header[] {
  return changes.reduce<readonly Header[]>((now, change) => {
    if (change.op === "remove") return without(now, change.name);
    const kept = change.op === "set" ? without(now, change.name) : now;
    return [...kept, [change.name, decode(change.value)]];
  }, headers);
}

/** Envoy's result: all removals first, then the sets in order. Envoy reads `append` of the two fields. */
function applyLikeEnvoy(headers: readonly Header[], mutation: HeaderMutation | undefined): readonly Header[] {
  const removed = (mutation?.removeHeaders ?? []).reduce<readonly Header[]>(without, headers);
  return (mutation?.setHeaders ?? []).reduce<readonly Header[]>((now, { header, append }) => {
    const name = header?.key ?? "";
    return [...(append === true ? now : without(now, name)), [name, decode(header?.rawValue)]];
  }, removed);
}

/** Data planes other than Envoy read `append_action` instead of `append`. */
function applyLikeOthers(headers: readonly Header[], mutation: HeaderMutation | undefined): readonly Header[] {
  const removed = (mutation?.removeHeaders ?? []).reduce<readonly Header[]>(without, headers);
  return (mutation?.setHeaders ?? []).reduce<readonly Header[]>((now, { header, appendAction }) => {
    const name = header?.key ?? "";
    const kept = appendAction === AppendAction.APPEND_IF_EXISTS_OR_ADD ? now : without(now, name);
    return [...kept, [name, decode(header?.rawValue)]];
  }, removed);
}

/** The order matters within a name, not between names (RFC 9110 5.3). */
function byName(headers: readonly Header[]): ReadonlyMap<string, readonly string[]> {
  const grouped = new Map<string, string[]>();
  for (const [name, value] of headers) grouped.set(name, [...(grouped.get(name) ?? []), value]);
  return new Map([...grouped].sort(([a], [b]) => a.localeCompare(b)));
}

function overTheWire(mutation: HeaderMutation | undefined): HeaderMutation | undefined {
  return mutation && fromBinary(HeaderMutationSchema, toBinary(HeaderMutationSchema, mutation));
}

describe("the net mutation of header changes", () => {
  test("the net mutation has the same effect in Envoy as the changes made one after the other", () => {
    fc.assert(
      fc.property(headersArbitrary, changesArbitrary, (headers, changes) => {
        const mutation = overTheWire(toHeaderMutation(changes));
        expect(byName(applyLikeEnvoy(headers, mutation))).toEqual(byName(applyOneByOne(headers, changes)));
      }),
      bounded(2_000),
    );
  });

  test("the net mutation has the same effect if append_action is read instead of append", () => {
    fc.assert(
      fc.property(headersArbitrary, changesArbitrary, (headers, changes) => {
        const mutation = overTheWire(toHeaderMutation(changes));
        expect(applyLikeOthers(headers, mutation)).toEqual(applyLikeEnvoy(headers, mutation));
      }),
      bounded(1_000),
    );
  });

  test("the net mutation removes no name that it sets, and has only names of changes", () => {
    fc.assert(
      fc.property(changesArbitrary, (changes) => {
        const mutation = toHeaderMutation(changes);
        const set = new Set(mutation?.setHeaders.map(({ header }) => header?.key));
        for (const name of mutation?.removeHeaders ?? []) expect(set.has(name)).toBe(false);
        const named = new Set(changes.map(({ name }) => name));
        expect([...set, ...(mutation?.removeHeaders ?? [])].every((name) => named.has(name ?? ""))).toBe(true);
      }),
      bounded(500),
    );
  });
});
