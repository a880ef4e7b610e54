// A body handler on our own public API: each chunk changed in place.
import { defineProcessor } from "ext-proc";

export default defineProcessor({
  name: "chunks-changed",
  requestBody: {
    read: "chunks",
    chunk(bytes) {
      bytes[0] = 0x41;
      return bytes;
    },
  },
});
