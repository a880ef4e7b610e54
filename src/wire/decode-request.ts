import { type DescField, type DescMessage, fromBinary, ScalarType } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { utf8Only } from "../text/escaped-text.ts";
import { readCanonicalRequest } from "./canonical-request.ts";
import { utf8Bytes } from "./header-text.ts";
import { checkFieldCount, hasTooManyHeaders, refuseHeaders } from "./message-limits.ts";

/**
 * Reads a message of Envoy. Text that is not UTF-8 is read as latin1, one character per byte.
 *
 * protobuf-es rejects such text, as proto3 requires, but Envoy writes it: it copies a client's header bytes into the
 * strings of `attributes` (`request.useragent`) and of `metadata_context`. If that were malformed, any client could
 * fail its stream, and so avoid a processor under `failure_mode_allow`.
 *
 * The headers of a message refer to its bytes and are created when they are first read. The whole message is checked at
 * once.
 *
 * @throws TooManyParts If it has more than 10,000 headers, or 50,000 fields.
 * @throws Error If the bytes are not a ProcessingRequest.
 */
export function decodeRequest(bytes: Uint8Array): ProcessingRequest {
  return readCanonicalRequest(bytes, readWhole) ?? readWhole(bytes);
}

function readWhole(bytes: Uint8Array): ProcessingRequest {
  checkFieldCount(ProcessingRequestSchema, bytes);
  const request = readAnyText(bytes);
  if (hasTooManyHeaders(request)) refuseHeaders();
  return request;
}

function readAnyText(bytes: Uint8Array): ProcessingRequest {
  try {
    return fromBinary(ProcessingRequestSchema, bytes);
  } catch {
    return fromBinary(ProcessingRequestSchema, repairMessage(ProcessingRequestSchema, bytes, 0));
  }
}

/** Rewrites the content of a length-delimited field. */
type Repair = (content: Uint8Array, depth: number) => Uint8Array;

/** The depth to which protobuf-es reads. */
const MAX_DEPTH = 100;

const repairText: Repair = (content) => utf8Bytes(utf8Only(content) ?? latin1Text(content));

function repairMessage(message: DescMessage, bytes: Uint8Array, depth: number): Uint8Array {
  return repairFields(bytes, depth, (number) => {
    const field = message.fields.find((candidate) => candidate.number === number);
    return field && repairOf(field);
  });
}

function repairFields(bytes: Uint8Array, depth: number, repairFor: (number: number) => Repair | undefined): Uint8Array {
  if (depth > MAX_DEPTH) throw new RangeError(`messages are nested more than ${MAX_DEPTH} deep`);
  const reader = new BinaryReader(bytes);
  const writer = new BinaryWriter();
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [number, wireType] = reader.tag();
    const repair = wireType === WireType.LengthDelimited ? repairFor(number) : undefined;
    if (repair) {
      writer.tag(number, wireType).bytes(repair(reader.bytes(), depth + 1));
    } else {
      reader.skip(wireType, number);
      writer.raw(bytes.subarray(start, reader.pos));
    }
  }
  return writer.finish();
}

function repairOf(field: DescField): Repair | undefined {
  const { message, scalar } = field;
  const repairValue = message ? repairOfMessage(message) : repairOfScalar(scalar);
  if (field.fieldKind !== "map") return repairValue;
  // An entry of a map is a message with a key and a value.
  const entry = [undefined, repairOfScalar(field.mapKey), repairValue];
  return (content, depth) => repairFields(content, depth, (number) => entry[number]);
}

function repairOfMessage(message: DescMessage): Repair {
  return (content, depth) => repairMessage(message, content, depth);
}

function repairOfScalar(scalar: ScalarType | undefined): Repair | undefined {
  return scalar === ScalarType.STRING ? repairText : undefined;
}

function latin1Text(bytes: Uint8Array): string {
  // For TextDecoder, "latin1" means windows-1252, which would change the bytes 0x80 to 0x9F.
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
