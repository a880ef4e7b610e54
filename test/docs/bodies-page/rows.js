import { defineProcessor, jsonLines } from "ext-proc";

export default defineProcessor({
  name: "rows",
  responseBody: {
    read: "stream",
    when: (tx) => tx.response?.get("content-type") === "application/x-ndjson",
    async *handle(chunks) {
      let n = 0;
      for await (const line of jsonLines(chunks)) {
        yield line.kind === "value" ? line.withValue({ n: ++n, row: line.value }) : line.raw;
      }
    },
  },
});
