import type { DescMessage } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { HeaderMap } from "../../gen/envoy/config/core/v3/base_pb.js";
import type { ProcessingRequest } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/**
 * The maximum number of headers or trailers of one message. Envoy accepts 100 from a client by default
 * (`max_headers_count`), so no real configuration comes close. Reading this many takes a few ms. Reading 2 million,
 * which fit into 4 MiB, takes 1 s.
 */
export const MAX_MESSAGE_HEADERS = 10_000;

/** The default maximum size of a message, in bytes. It is the default of other gRPC servers too. */
export const DEFAULT_MAX_MESSAGE_BYTES: number = 4 << 20;

/** The maximum number of fields of one message, nested ones included: all of its headers, and as many other fields. */
export const MAX_FIELDS = 50_000;
/** A tag and a value. */
const MIN_FIELD_BYTES = 2;
/** The depth to which protobuf-es reads. */
const MAX_DEPTH = 100;

/** Thrown if a message has too many parts, so that reading it would take too long. Each part may be well-formed. */
export class TooManyParts extends Error {}

/** Throws because a message has too many headers. Call this before more headers are indexed. */
export function refuseHeaders(): never {
  throw new TooManyParts(`a message has more than ${MAX_MESSAGE_HEADERS} headers`);
}

/** True if a message that protobuf-es has read has more headers or trailers than are allowed. */
export function hasTooManyHeaders({ request }: ProcessingRequest): boolean {
  switch (request.case) {
    case "requestHeaders":
    case "responseHeaders":
      return isTooLong(request.value.headers);
    case "requestTrailers":
    case "responseTrailers":
      return isTooLong(request.value.trailers);
    default:
      return false;
  }
}

function isTooLong(map: HeaderMap | undefined): boolean {
  return map !== undefined && map.headers.length > MAX_MESSAGE_HEADERS;
}

/**
 * Counts the fields of a message before they are read. It allocates nothing.
 *
 * @param max The maximum number of fields, including nested ones.
 * @throws TooManyParts If there are more.
 */
export function checkFieldCount(message: DescMessage, bytes: Uint8Array, max = MAX_FIELDS): void {
  // Nearly every message is too short to have so many.
  if (bytes.length <= max * MIN_FIELD_BYTES) return;
  if (countFields(shapeOf(message), bytes, max, 0) < 0) throw new TooManyParts(`a message has more than ${max} fields`);
}

/** The fields of a message type that are messages or maps, by number. */
type Shape = ReadonlyMap<number, Shape>;

/** Module state: the shapes follow from the schemas, and are the same everywhere. */
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

/** Returns how many more fields are allowed after this message; below 0 if there are too many. */
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
