/** Error codes of RST_STREAM and GOAWAY (RFC 9113 section 7). */
export const NO_ERROR = 0x00;
export const PROTOCOL_ERROR = 0x01;
export const INTERNAL_ERROR = 0x02;
export const FLOW_CONTROL_ERROR = 0x03;
export const SETTINGS_TIMEOUT = 0x04;
export const STREAM_CLOSED = 0x05;
export const FRAME_SIZE_ERROR = 0x06;
export const REFUSED_STREAM = 0x07;
export const CANCEL = 0x08;
export const COMPRESSION_ERROR = 0x09;
export const ENHANCE_YOUR_CALM = 0x0b;

const NAMES = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
  "INADEQUATE_SECURITY",
  "HTTP_1_1_REQUIRED",
];

/** The RFC's name of an error code, for logs; an unknown code is printed in hexadecimal. */
export function errorCodeName(code: number): string {
  return NAMES[code] ?? `0x${code.toString(16)}`;
}
