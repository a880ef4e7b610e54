/**
 * Custom metadata of a reply (gRPC over HTTP/2, "Custom-Metadata"): names in lower case; text in printable ASCII, or bytes
 * under a name that ends in `-bin`.
 */
export type ReplyMetadata = readonly (readonly [name: string, value: string | Uint8Array])[];

const NAME = /^(?!grpc-)[0-9a-z_.-]+$/;
const TEXT = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
/** Fields of the reply itself, or of the connection. */
const RESERVED: ReadonlySet<string> = new Set(["content-type", "te", "connection", "transfer-encoding", "trailer"]);

/**
 * Metadata as header fields, bytes in base64.
 *
 * @throws {TypeError} For a name or value that gRPC does not allow: callers choose both themselves.
 */
export function metadataFields(metadata: ReplyMetadata): [name: string, value: string][] {
  return metadata.map(([name, value]) => {
    if (!NAME.test(name) || RESERVED.has(name))
      throw new TypeError(`${JSON.stringify(name)} is not a valid name for metadata`);
    if (name.endsWith("-bin") !== (typeof value !== "string")) {
      throw new TypeError(`${name}: bytes need a name that ends in "-bin", and such a name needs bytes`);
    }
    if (typeof value !== "string") return [name, encodeBase64(value)];
    if (!TEXT.test(value)) throw new TypeError(`${name}: a value must be printable ASCII without blanks at its ends`);
    return [name, value];
  });
}

/** Without padding, as gRPC wants it sent. */
function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString("base64")
    .replace(/={1,2}$/, "");
}
