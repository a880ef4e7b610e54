import { create, toBinary } from "@bufbuild/protobuf";
import { ProcessingRequestSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { fc } from "./seed.ts";

/** One field with its tag, on the wire. */
function field(tag: number, content: readonly number[]): number[] {
  return [tag, ...varint(content.length), ...content];
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

const names = fc.constantFrom(":path", "x-a", "X-A", "cookie", "set-cookie", "", "x-é", "content-length", "__proto__");
const text = fc.oneof(
  { arbitrary: fc.string({ maxLength: 20 }), weight: 3 },
  { arbitrary: fc.string({ unit: "binary", maxLength: 6 }), weight: 1 },
  { arbitrary: fc.string({ minLength: 120, maxLength: 300 }), weight: 1 },
);
const bytes = fc.oneof(
  text.map(utf8),
  fc.uint8Array({ maxLength: 40 }).map((list) => [...list]),
);

function utf8(value: string): number[] {
  return [...new TextEncoder().encode(value)];
}

/** Mostly a name and a value as Envoy writes them; sometimes fields in any order, twice, or unknown fields. */
const entry = fc.oneof(
  {
    arbitrary: fc.tuple(names.map(utf8), bytes).map(([key, value]) => [...field(0x0a, key), ...field(0x1a, value)]),
    weight: 8,
  },
  {
    arbitrary: fc.tuple(names, text).map(([key, value]) => [...field(0x0a, utf8(key)), ...field(0x12, utf8(value))]),
    weight: 2,
  },
  {
    arbitrary: fc
      .array(fc.tuple(fc.constantFrom(0x0a, 0x12, 0x1a, 0x22), bytes), { maxLength: 3 })
      .map((fields) => fields.flatMap(([tag, content]) => field(tag, content))),
    weight: 1,
  },
);

const headerMap = fc.oneof(
  { arbitrary: fc.array(entry, { maxLength: 5 }).map((entries) => entries.flatMap((e) => field(0x0a, e))), weight: 9 },
  { arbitrary: bytes, weight: 1 },
);
const flag = fc.constantFrom<number[]>(
  [],
  [0x18, 1],
  [0x18, 1],
  [0x18, 0],
  [0x18, 0x81, 0],
  [0x10, 1],
  [0x20, 1],
  [0x28, 1],
);
/** One of each kind of member, by its number. */
const member = fc
  .tuple(fc.constantFrom(0x12, 0x1a, 0x22, 0x2a, 0x32, 0x3a), headerMap, fc.array(flag, { maxLength: 3 }), fc.nat(9))
  .map(([tag, map, flags, shape]) => {
    const first = shape === 0 ? [] : field(0x0a, map);
    const isTrailers = tag >= 0x32;
    return field(tag, [...first, ...(isTrailers && shape > 1 ? [] : flags.flat())]);
  });

const rest = fc.oneof(
  { arbitrary: fc.constant<number[]>([]), weight: 3 },
  {
    arbitrary: fc.constantFrom(
      [0x42, 0],
      [0x50, 1],
      [0x50, 0],
      [0x5a, 0],
      [0x5a, 2, 0x08, 1],
      [0x5a, 4, 0x08, 2, 0x10, 4],
      [0x5a, 2, 0x18, 1],
    ),
    weight: 4,
  },
  {
    arbitrary: fc.constantFrom(
      [0x5a, 2, 0x10, 0x80],
      [0x5a, 4, 0x10, 1, 0x08, 1],
      [0x42, 0, 0x5a, 2, 0x08, 1],
      [0x42, 0, 0x50, 1, 0x42, 0],
    ),
    weight: 1,
  },
  { arbitrary: fc.constantFrom("attributes", "metadata", "flow").map(eagerRest), weight: 2 },
  { arbitrary: member, weight: 1 },
  { arbitrary: bytes, weight: 1 },
);

function eagerRest(kind: string): number[] {
  const message = create(ProcessingRequestSchema, {
    ...(kind === "attributes" && { attributes: { "envoy.filters.http.ext_proc": { "request.path": "/é", n: 1 } } }),
    ...(kind === "metadata" && { metadataContext: { filterMetadata: { a: { b: [null] } } } }),
    ...(kind === "flow" && { clientWindowUpdate: { windowIncrementSidestreamToUpstream: 5n } }),
  });
  return [...toBinary(ProcessingRequestSchema, message)];
}

const written = fc.tuple(member, fc.array(rest, { maxLength: 3 })).map(([first, more]) => [...first, ...more.flat()]);

type Mutation = readonly [at: number, how: "change" | "remove" | "insert" | "cut" | "repeat", byte: number];

const mutations = fc.oneof(
  { arbitrary: fc.constant<Mutation[]>([]), weight: 3 },
  {
    arbitrary: fc.array(
      fc.tuple(fc.nat(2000), fc.constantFrom("change", "change", "remove", "insert", "cut", "repeat"), fc.nat(255)),
      { minLength: 1, maxLength: 4 },
    ) as fc.Arbitrary<Mutation[]>,
    weight: 4,
  },
);

function mutate(original: readonly number[], list: readonly Mutation[]): number[] {
  let mutated = [...original];
  for (const [where, how, byte] of list) {
    const at = mutated.length === 0 ? 0 : where % mutated.length;
    if (how === "change") mutated[at] = byte;
    else if (how === "remove") mutated.splice(at, 1);
    else if (how === "insert") mutated.splice(at, 0, byte);
    else if (how === "cut") mutated = mutated.slice(0, at);
    else mutated.push(...mutated.slice(at));
  }
  return mutated;
}

/**
 * Bytes of requests: as Envoy writes them, as it could write them, as a broken client writes them, and random bytes.
 */
export const requestBytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  { arbitrary: fc.tuple(written, mutations).map(([good, list]) => Uint8Array.from(mutate(good, list))), weight: 15 },
  { arbitrary: fc.uint8Array({ maxLength: 60 }), weight: 1 },
);
