import type { DescMessage } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/**
 * Most headers or trailers of one message. Envoy accepts 100 of a client by default (`max_headers_count`), so no
 * configuration in use comes near; reading so many takes a few milliseconds, and 2 million, which fit into 4 MiB, a second.
 */
export const MAX_MESSAGE_HEADERS = 10_000;

/** Most fields of one message, those in other fields included: all of its headers, and as much of attributes and metadata. */
const MAX_FIELDS = 50_000;
/** Tag and value. */
const MIN_FIELD_BYTES = 2;
/** As deep as protobuf-es reads. */
const MAX_DEPTH = 100;

/** Thrown if reading a message would take too long: it has too many parts, each of which may be well-formed. */
export class TooManyParts extends Error {}

/** Thrown before more headers are indexed. */
export function refuseHeaders(): never {
  throw new TooManyParts(`the peer sent a message with more than ${MAX_MESSAGE_HEADERS} headers`);
}

/**
 * Looks through the fields of a message before they are read, without making anything of them.
 *
 * @throws TooManyParts If there are more than 50,000.
 */
export function checkFieldCount(message: DescMessage, bytes: Uint8Array): void {
  // Nearly every message is too short for it.
  if (bytes.length <= MAX_FIELDS * MIN_FIELD_BYTES) return;
  countFields(shapeOf(message), bytes, MAX_FIELDS, 0);
}

/** The fields of a message that are messages, or entries of a map, by number. */
type Shape = ReadonlyMap<number, Shape>;

const SHAPES = new Map<DescMessage, Shape>();

function shapeOf(message: DescMessage): Shape {
  const known = SHAPES.get(message);
  if (known !== undefined) return known;
  const shape = new Map<number, Shape>();
  SHAPES.set(message, shape);
  for (const field of message.fields) {
    if (field.fieldKind === "map") shape.set(field.number, new Map(field.message && [[2, shapeOf(field.message)]]));
    else if (field.message) shape.set(field.number, shapeOf(field.message));
  }
  return shape;
}

/** Gives how many more fields there may be. */
function countFields(shape: Shape, bytes: Uint8Array, allowed: number, depth: number): number {
  const reader = new BinaryReader(bytes);
  let left = allowed;
  while (reader.pos < reader.len) {
    if (left-- === 0) throw new TooManyParts(`the peer sent a message with more than ${MAX_FIELDS} fields`);
    const [number, wireType] = reader.tag();
    const inner = wireType === WireType.LengthDelimited ? shape.get(number) : undefined;
    if (inner === undefined || depth === MAX_DEPTH) reader.skip(wireType, number);
    else left = countFields(inner, reader.bytes(), left, depth + 1);
  }
  return left;
}
