// A body handler on our own public API: each chunk looked at, and left as it is.
import { defineProcessor } from "ext-proc";

let total = 0;

export default defineProcessor({
  name: "chunks-seen",
  requestBody: {
    read: "chunks",
    chunk(bytes) {
      total += bytes.length;
    },
  },
  done: () => void total,
});
