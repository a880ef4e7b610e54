/**
 * Bytes as a script or a scenario writes them: text (UTF-8), or an object where text is not enough.
 * `{ repeat: "ab", times: 3 }` is `ababab`.
 */
export type ScriptBytes =
  | string
  | { readonly hex: string }
  | { readonly base64: string }
  | { readonly repeat: string; readonly times: number };

/** The bytes meant. */
export function scriptBytes(written: ScriptBytes): Uint8Array {
  if (typeof written === "string") return new TextEncoder().encode(written);
  if ("hex" in written) return Uint8Array.from(Buffer.from(written.hex.replaceAll(/\s/g, ""), "hex"));
  if ("base64" in written) return Uint8Array.from(Buffer.from(written.base64, "base64"));
  return new TextEncoder().encode(written.repeat.repeat(written.times));
}

/** The shortest form that means `bytes`: text if it is plain ASCII, a repetition if it is long, else hex. */
export function writeScriptBytes(bytes: Uint8Array): ScriptBytes {
  const first = bytes[0];
  const uniform = first !== undefined && bytes.length > 32 && bytes.every((byte) => byte === first);
  if (bytes.some((byte) => byte < 0x20 || byte > 0x7e)) return { hex: Buffer.from(bytes).toString("hex") };
  if (uniform) return { repeat: String.fromCharCode(first), times: bytes.length };
  return Buffer.from(bytes).toString("latin1");
}
