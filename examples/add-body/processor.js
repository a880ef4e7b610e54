import { appendChunk, continueAndReplace, defineProcessor, setHeader } from "ext-proc";

export default defineProcessor({
  name: "add-body",
  requestHeaders({ endOfStream }, tx) {
    // Nothing comes behind these headers: the body is given along with them.
    if (!endOfStream || tx.request.method !== "POST") return undefined;
    return [setHeader("content-type", "application/json"), continueAndReplace("{}\n")];
  },
  responseBody: {
    read: "chunks",
    when: (tx) => tx.response?.get("content-type")?.startsWith("text/plain"),
    // Nothing returned: the chunk goes on as it is.
    chunk: () => undefined,
    end: () => appendChunk("-- \nserved through ext-proc\n"),
  },
});
