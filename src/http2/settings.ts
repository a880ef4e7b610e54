import { ConnectionError } from "./end-reason.ts";
import { FLOW_CONTROL_ERROR, PROTOCOL_ERROR } from "./error-codes.ts";
import { MAX_WINDOW_BYTES } from "./flow-control.ts";
import { readUint32, writeUint32 } from "./frames.ts";
import type { Http2Limits } from "./limits.ts";

/** Identifiers of settings (RFC 9113 section 6.5.2). */
export const SETTINGS_HEADER_TABLE_SIZE = 0x1;
export const SETTINGS_ENABLE_PUSH = 0x2;
export const SETTINGS_MAX_CONCURRENT_STREAMS = 0x3;
export const SETTINGS_INITIAL_WINDOW_SIZE = 0x4;
export const SETTINGS_MAX_FRAME_SIZE = 0x5;
export const SETTINGS_MAX_HEADER_LIST_SIZE = 0x6;

/** Each setting is an identifier of 16 bits and a value of 32 (RFC 9113 section 6.5.1). */
export const SETTING_BYTES = 6;

/** A setting of the client, which is checked. */
export interface Setting {
  readonly id: number;
  readonly value: number;
}

/** Encodes the settings that a server announces, as the payload of its SETTINGS frame. */
export function encodeSettings(limits: Http2Limits): Uint8Array {
  const settings: readonly (readonly [number, number])[] = [
    [SETTINGS_HEADER_TABLE_SIZE, limits.headerTableBytes],
    [SETTINGS_MAX_CONCURRENT_STREAMS, limits.maxConcurrentStreams],
    [SETTINGS_INITIAL_WINDOW_SIZE, limits.streamWindowBytes],
    [SETTINGS_MAX_FRAME_SIZE, limits.maxFrameBytes],
    [SETTINGS_MAX_HEADER_LIST_SIZE, limits.maxHeaderListBytes],
  ];
  const payload = new Uint8Array(settings.length * SETTING_BYTES);
  for (const [i, [id, value]] of settings.entries()) {
    payload[i * SETTING_BYTES + 1] = id;
    writeUint32(payload, i * SETTING_BYTES + 2, value);
  }
  return payload;
}

/**
 * Reads one setting of the client.
 *
 * @throws ConnectionError for a value outside of what RFC 9113 section 6.5.2 allows.
 */
export function readSetting(bytes: Uint8Array, at: number): Setting {
  const id = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  const value = readUint32(bytes, at + 2);
  if (id === SETTINGS_ENABLE_PUSH && value > 1) {
    throw new ConnectionError(PROTOCOL_ERROR, "invalid_frame", `SETTINGS_ENABLE_PUSH ${value}`);
  }
  if (id === SETTINGS_INITIAL_WINDOW_SIZE && value > MAX_WINDOW_BYTES) {
    throw new ConnectionError(FLOW_CONTROL_ERROR, "flow_control_violation", `SETTINGS_INITIAL_WINDOW_SIZE ${value}`);
  }
  if (id === SETTINGS_MAX_FRAME_SIZE && (value < 16_384 || value > 16_777_215)) {
    throw new ConnectionError(PROTOCOL_ERROR, "invalid_frame", `SETTINGS_MAX_FRAME_SIZE ${value}`);
  }
  return { id, value };
}
