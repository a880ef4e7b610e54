import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  ProcessingRequestSchema,
  ProcessingResponseSchema,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Direction } from "../../../src/protocol/phase.ts";

/** What a body is made of. `grpc`: messages of the direction's type, framed. */
export type Material = "bytes" | "text" | "json" | "grpc";

/** A body of exactly so many bytes, the same each time. */
export function bodyOf(material: Material, size: number, direction: Direction): Buffer {
  const key = `${material} ${size} ${direction}`;
  const known = made.get(key);
  if (known) return known;
  const body = MAKERS[material](size, direction);
  if (body.length !== size) throw new Error(`made ${body.length} bytes of ${material}, not ${size}`);
  made.set(key, body);
  return body;
}

const made = new Map<string, Buffer>();

const MAKERS: Readonly<Record<Material, (size: number, direction: Direction) => Buffer>> = {
  bytes: (size) => noise(size),
  text: (size) => filled("naïve – 𝄞 text,\r\n", size),
  json: (size) => (size < 2 ? Buffer.from("7".repeat(size)) : jsonOf(size)),
  grpc: framedMessages,
};

/** Numbers that look random, the same each time, from 0 up to 2^32. */
export function numbersFrom(seed: number): () => number {
  let state = (seed * 2_654_435_761 + 1) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

function noise(size: number): Buffer {
  const next = numbersFrom(size);
  const words = Uint32Array.from({ length: Math.ceil(size / 4) }, next);
  return Buffer.from(words.buffer, 0, size);
}

/** The pattern over and over, cut between characters and filled up. */
function filled(pattern: string, size: number): Buffer {
  const one = Buffer.from(pattern);
  const whole = Math.floor(size / one.length);
  const body = Buffer.alloc(size, "x");
  body.fill(one, 0, whole * one.length);
  return body;
}

function jsonOf(size: number): Buffer {
  const [before, after] = ['{"text":"', '"}'];
  if (size < before.length + after.length) throw new Error(`there is no JSON of ${size} bytes here`);
  const text = filled("naïve – 𝄞 ", size - before.length - after.length);
  return Buffer.concat([Buffer.from(before), text, Buffer.from(after)]);
}

/** Lengths of what messages carry, in turn: empty ones, small ones, and some that no chunk holds. */
const CARRIED = [0, 1, 127, 3_000, 40_000, 5, 700_000, 0, 2_500_000];
const PREFIX_BYTES = 5;

function framedMessages(size: number, direction: Direction): Buffer {
  // Too short for a message.
  if (size < PREFIX_BYTES) return Buffer.alloc(size, 7);
  const body = Buffer.alloc(size);
  let at = 0;
  const put = (message: Uint8Array) => {
    body.writeUInt32BE(message.length, at + 1);
    body.set(message, at + PREFIX_BYTES);
    at += PREFIX_BYTES + message.length;
  };
  for (let turn = 0; size - at > CARRIED_AT_MOST; turn++) {
    const length = CARRIED[turn % CARRIED.length] ?? 0;
    if (length < (size - at) / 2) put(messageOf(length, direction));
  }
  while (at < size) put(lastMessage(size - at - PREFIX_BYTES, direction));
  return body;
}

/** What is left is filled by one message of the right length, with empty ones in front if there is none. */
const CARRIED_AT_MOST = 2_000;
const OVERHEAD_AT_MOST = 40;

function lastMessage(length: number, direction: Direction): Uint8Array {
  for (let carried = Math.max(0, length - OVERHEAD_AT_MOST); carried <= length; carried++) {
    const message = messageOf(carried, direction);
    if (message.length === length) return message;
  }
  return new Uint8Array(0);
}

function messageOf(carried: number, direction: Direction): Uint8Array {
  if (carried === 0) return new Uint8Array(0);
  const body = new Uint8Array(noise(carried));
  if (direction === "request")
    return toBinary(ProcessingRequestSchema, request({ request: { case: "requestBody", value: { body } } }));
  return toBinary(ProcessingResponseSchema, response(body));
}

function request(init: MessageInitShape<typeof ProcessingRequestSchema>) {
  return create(ProcessingRequestSchema, init);
}

function response(body: Uint8Array) {
  const bodyMutation = { mutation: { case: "body" as const, value: body } };
  return create(ProcessingResponseSchema, {
    response: { case: "requestBody", value: { response: { bodyMutation } } },
  });
}

/** What the gRPC handlers make of framed messages: each has one more field set. */
export function editedMessages(framed: Uint8Array, direction: Direction): Buffer {
  const source = Buffer.from(framed.buffer, framed.byteOffset, framed.length);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < source.length; ) {
    const end = at + PREFIX_BYTES + source.readUInt32BE(at + 1);
    const edited = editedMessage(source.subarray(at + PREFIX_BYTES, end), direction);
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(edited.length, 1);
    parts.push(prefix, edited);
    at = end;
  }
  return Buffer.concat(parts);
}

function editedMessage(message: Uint8Array, direction: Direction): Uint8Array {
  if (direction === "request") {
    const read = fromBinary(ProcessingRequestSchema, message);
    return toBinary(ProcessingRequestSchema, { ...read, observabilityMode: true });
  }
  const read = fromBinary(ProcessingResponseSchema, message);
  return toBinary(ProcessingResponseSchema, { ...read, requestDrain: true });
}
