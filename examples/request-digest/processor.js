import { createHash } from "node:crypto";
import { defineProcessor, setHeader } from "ext-proc";

/** @param {Uint8Array} bytes */
function contentDigest(bytes) {
  const sha256 = createHash("sha256").update(bytes).digest("base64");
  return setHeader("content-digest", `sha-256=:${sha256}:`);
}

export default defineProcessor({
  name: "request-digest",
  // An upstream that trusts the header must not get a request that was not checked.
  onFault: "closed",
  // A body handler is not called for an empty body, so this is its digest; the handler replaces it for every other body.
  requestHeaders: () => contentDigest(new Uint8Array()),
  requestBody: {
    read: "whole",
    required: true,
    maxBytes: 1 << 20,
    // The header is of the bytes on the wire, with their coding (RFC 9530 section 2).
    encoding: "raw",
    handle: ({ bytes }) => contentDigest(bytes),
  },
});
