/** Builds HTTP/2 frames by hand, also wrong ones, so that tests do not use the code that they test. */

export type Field = readonly [name: string, value: string];

/** Frame types and flags of RFC 9113, written down a second time. */
export const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;
export const PADDED = 8;
export const PRIORITY = 32;

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export interface FrameFields {
  readonly flags?: number;
  readonly id?: number;
  readonly payload?: Uint8Array;
}

export function frame(type: number, { flags = 0, id = 0, payload = Buffer.alloc(0) }: FrameFields = {}): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(id, 5);
  return Buffer.concat([header, payload]);
}

export function uint32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, 4 * i);
  return bytes;
}

export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(6 * pairs.length);
  for (const [i, [id, value]] of pairs.entries()) {
    payload.writeUInt16BE(id, 6 * i);
    payload.writeUInt32BE(value, 6 * i + 2);
  }
  return frame(TYPE.settings, { payload });
}

export const settingsAck = frame(TYPE.settings, { flags: ACK });

export function ping(payload = "12345678", flags = 0): Buffer {
  return frame(TYPE.ping, { flags, payload: Buffer.from(payload, "latin1") });
}

export function windowUpdate(id: number, bytes: number): Buffer {
  return frame(TYPE.windowUpdate, { id, payload: uint32(bytes) });
}

export function rstStream(id: number, code = 8): Buffer {
  return frame(TYPE.rstStream, { id, payload: uint32(code) });
}

export function data(id: number, payload: Uint8Array | string, flags = 0): Buffer {
  return frame(TYPE.data, { id, flags, payload: Buffer.from(payload) });
}

export function headers(id: number, fields: readonly Field[] = REQUEST, flags = 0): Buffer {
  return frame(TYPE.headers, { id, flags: flags | END_HEADERS, payload: block(fields) });
}

export function continuation(id: number, payload: Uint8Array, flags = 0): Buffer {
  return frame(TYPE.continuation, { id, flags, payload });
}

/** A POST to /. */
export const REQUEST: readonly Field[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "test"],
];

/** A call of Process, as Envoy begins it. */
export const PROCESS: readonly Field[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/envoy.service.ext_proc.v3.ExternalProcessor/Process"],
  [":authority", "a"],
  ["content-type", "application/grpc"],
];

/** A header block of literals that do not use the tables (RFC 7541 section 6.2.2). */
export function block(fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.map(([name, value]) => literal(name, value)));
}

/** A literal: 0x00 leaves the table unchanged, 0x40 adds the field to it. */
export function literal(name: string, value: string, first = 0x00): Buffer {
  return Buffer.concat([Buffer.of(first), string(name), string(value)]);
}

function string(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.concat([integer(bytes.length, 0x7f), bytes]);
}

export function integer(value: number, mask: number, first = 0): Buffer {
  if (value < mask) return Buffer.of(first | value);
  const bytes = [first | mask];
  let rest = value - mask;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}
