import { appendChunk, createUtf8Decoder, defineProcessor } from "ext-proc";

const encoder = new TextEncoder();

export default defineProcessor({
  name: "shout",
  state: () => createUtf8Decoder(),
  responseBody: {
    read: "chunks",
    chunk: (bytes, { state }) => encoder.encode(state.push(bytes).toUpperCase()),
    end: ({ state }) => appendChunk(state.end().toUpperCase()),
  },
});
