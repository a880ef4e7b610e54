// HTTP/2 frames and gRPC messages as bytes, wrong ones included.

/** Frame types of RFC 9113 section 6. */
export const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
};
export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

const NOTHING = Buffer.alloc(0);

/**
 * @param {number} type
 * @param {{ flags?: number, id?: number, payload?: Uint8Array }} [fields]
 */
export function frame(type, { flags = 0, id = 0, payload = NOTHING } = {}) {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(id, 5);
  return Buffer.concat([header, payload]);
}

/** @param {number} value */
export function uint32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** @param {Readonly<Record<number, number>>} values Settings by their identifier. */
export function settings(values) {
  const pairs = Object.entries(values).map(([id, value]) => Buffer.concat([Buffer.of(0, Number(id)), uint32(value)]));
  return frame(TYPE.settings, { payload: Buffer.concat(pairs) });
}

export const SETTINGS_ACK = frame(TYPE.settings, { flags: ACK });

/**
 * @param {number} id
 * @param {number} bytes
 */
export function windowUpdate(id, bytes) {
  return frame(TYPE.windowUpdate, { id, payload: uint32(bytes) });
}

/**
 * @param {number} id
 * @param {number} [code] CANCEL by default.
 */
export function rstStream(id, code = 8) {
  return frame(TYPE.rstStream, { id, payload: uint32(code) });
}

/**
 * @param {number} id
 * @param {readonly (readonly [string, string])[]} fields
 * @param {number} [flags]
 */
export function headers(id, fields, flags = 0) {
  return frame(TYPE.headers, { id, flags: flags | END_HEADERS, payload: headerBlock(fields) });
}

/**
 * DATA frames of at most 16,384 bytes.
 *
 * @param {number} id
 * @param {Uint8Array} bytes
 * @param {number} [flags] Of the last frame.
 */
export function data(id, bytes, flags = 0) {
  const frames = [];
  for (let at = 0; at === 0 || at < bytes.length; at += 16_384) {
    const payload = bytes.subarray(at, at + 16_384);
    const isLast = at + 16_384 >= bytes.length;
    frames.push(frame(TYPE.data, { id, flags: isLast ? flags : 0, payload }));
  }
  return Buffer.concat(frames);
}

/**
 * A header block of literals that touch no table (RFC 7541 section 6.2.2).
 *
 * @param {readonly (readonly [string, string])[]} fields
 */
export function headerBlock(fields) {
  return Buffer.concat(fields.map(([name, value]) => literal(name, value)));
}

/**
 * @param {string} name
 * @param {string} value
 * @param {number} [first] 0x40 adds the field to the dynamic table.
 */
export function literal(name, value, first = 0) {
  return Buffer.concat([Buffer.of(first), hpackText(name), hpackText(value)]);
}

/** @param {string} text */
function hpackText(text) {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.concat([hpackInteger(bytes.length), bytes]);
}

/** @param {number} value An integer with a prefix of 7 bits (RFC 7541 section 5.1). */
function hpackInteger(value) {
  if (value < 127) return Buffer.of(value);
  const bytes = [127];
  let rest = value - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

/**
 * A message with gRPC's prefix.
 *
 * @param {Uint8Array} bytes
 * @param {{ flag?: number, length?: number }} [prefix] What the prefix says, if it lies.
 */
export function grpcMessage(bytes, { flag = 0, length = bytes.length } = {}) {
  return Buffer.concat([Buffer.of(flag), uint32(length), bytes]);
}
