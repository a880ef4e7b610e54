import { defineProcessor, immediateResponse } from "ext-proc";

const MAX_BYTES = 64 << 10;

export default defineProcessor({
  name: "body-size-guard",
  // What cannot be measured must not pass.
  onFault: "closed",
  requestHeaders(_headers, tx) {
    const length = tx.request.get("content-length");
    if (length === undefined || Number(length) <= MAX_BYTES) return undefined;
    return immediateResponse(413, { json: { error: "too large", maxBytes: MAX_BYTES } });
  },
  requestBody: {
    read: "inspect",
    required: true,
    // Counted without its coding: a small gzip can hold a lot.
    maxBytes: MAX_BYTES,
    overLimit: "reject",
  },
});
