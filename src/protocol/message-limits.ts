import type { DescMessage } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { ProcessingRequest } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/**
 * Most headers or trailers of one message. Envoy accepts 100 of a client by default (`max_headers_count`), so no
 * configuration in use comes near; reading so many takes a few milliseconds, and 2 million, which fit into 4 MiB, a second.
 */
export const MAX_MESSAGE_HEADERS = 10_000;

/** The largest message unless options say otherwise, in bytes: what gRPC servers take by default. */
export const DEFAULT_MAX_MESSAGE_BYTES: number = 4 << 20;

/** Most fields of one message, those in other fields included: all of its headers, and as much of attributes and metadata. */
export const MAX_FIELDS = 50_000;
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

/** How many headers or trailers a message has. */
export function headerCount({ request }: ProcessingRequest): number {
  switch (request.case) {
    case "requestHeaders":
    case "responseHeaders":
      return request.value.headers?.headers.length ?? 0;
    case "requestTrailers":
    case "responseTrailers":
      return request.value.trailers?.headers.length ?? 0;
    default:
      return 0;
  }
}

/**
 * Looks through the fields of a message before they are read, without making anything of them.
 *
 * @param max How many there may be, those in other fields included.
 * @throws TooManyParts If there are more.
 */
export function checkFieldCount(message: DescMessage, bytes: Uint8Array, max = MAX_FIELDS): void {
  // Nearly every message is too short for it.
  if (bytes.length <= max * MIN_FIELD_BYTES) return;
  if (countFields(shapeOf(message), bytes, max, 0) < 0)
    throw new TooManyParts(`the peer sent a message with more than ${max} fields`);
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

/** Gives how many more fields there may be; below 0 if there are too many. */
function countFields(shape: Shape, bytes: Uint8Array, allowed: number, depth: number): number {
  const reader = new BinaryReader(bytes);
  let left = allowed;
  while (reader.pos < reader.len) {
    if (left-- === 0) return -1;
    const [number, wireType] = reader.tag();
    const inner = wireType === WireType.LengthDelimited ? shape.get(number) : undefined;
    if (inner === undefined || depth === MAX_DEPTH) reader.skip(wireType, number);
    else left = countFields(inner, reader.bytes(), left, depth + 1);
    if (left < 0) return -1;
  }
  return left;
}
