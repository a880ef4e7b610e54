import { defineProcessor, immediateResponse } from "ext-proc";

const MAX_BYTES = 64 << 10;

export default defineProcessor({
  name: "body-size-guard",
  // A body that cannot be measured must not pass.
  onFault: "closed",
  requestHeaders(_headers, tx) {
    const length = tx.request.get("content-length");
    if (length === undefined || Number(length) <= MAX_BYTES) return undefined;
    return immediateResponse(413, { json: { error: "too large", maxBytes: MAX_BYTES } });
  },
  requestBody: {
    read: "inspect",
    required: true,
    // Counts decoded bytes, because a small gzip body can decode to a large one.
    maxBytes: MAX_BYTES,
    overLimit: "reject",
  },
});
