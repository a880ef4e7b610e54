import { createHash } from "node:crypto";
import { defineProcessor, setHeader } from "ext-proc";

/** @param {Uint8Array} bytes */
function contentDigest(bytes) {
  const sha256 = createHash("sha256").update(bytes).digest("base64");
  return setHeader("content-digest", `sha-256=:${sha256}:`);
}

export default defineProcessor({
  name: "request-digest",
  // The upstream trusts the header, so it must not get a request that was not checked.
  onFault: "closed",
  // The digest of an empty body, for which no body handler is called. For every other body the handler replaces it.
  requestHeaders: () => contentDigest(new Uint8Array()),
  requestBody: {
    read: "whole",
    required: true,
    maxBytes: 1 << 20,
    // The digest is of the encoded bytes on the wire (RFC 9530 section 2).
    encoding: "raw",
    handle: ({ bytes }) => contentDigest(bytes),
  },
});
