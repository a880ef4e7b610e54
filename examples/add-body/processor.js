import { appendChunk, continueAndReplace, defineProcessor, setHeader } from "ext-proc";

export default defineProcessor({
  name: "add-body",
  requestHeaders({ endOfStream }, tx) {
    // No body follows these headers, so the body goes into the answer to them.
    if (!endOfStream || tx.request.method !== "POST") return undefined;
    return [setHeader("content-type", "application/json"), continueAndReplace("{}\n")];
  },
  responseBody: {
    read: "chunks",
    when: (tx) => tx.response?.get("content-type")?.startsWith("text/plain"),
    // Returns nothing, so the chunk passes unchanged.
    chunk: () => undefined,
    end: () => appendChunk("-- \nserved through ext-proc\n"),
  },
});
