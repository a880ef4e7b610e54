import { appendChunk, createReplacer, defineProcessor, setDynamicMetadata } from "ext-proc";

/**
 * Card numbers of 13 to 19 digits, and e-mail addresses. Every repetition has a limit, so the length of a match has
 * one.
 */
const PATTERN = /\b(?:\d[ -]?){12,18}\d\b|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,3}/;
const MAX_MATCH_BYTES = 64 + 1 + 63 + 3 * 64;

/** Hides personal data in one body, and counts what it hid. */
class Mask {
  hidden = 0;
  replacer = createReplacer({
    pattern: PATTERN,
    maxMatchBytes: MAX_MATCH_BYTES,
    replacement: (match) => {
      this.hidden++;
      return match.includes("@") ? "[email]" : `[card ${match.slice(-4)}]`;
    },
  });
}

export default defineProcessor({
  name: "mask-pii",
  // A body that is not masked must not reach the client.
  onFault: "closed",
  state: () => new Mask(),
  responseBody: {
    read: "chunks",
    required: true,
    when: (tx) => /^(?:text\/|application\/(?:[^;]*\+)?json\b)/i.test(tx.response?.get("content-type") ?? ""),
    chunk: (bytes, { state }) => state.replacer.push(bytes),
    end: ({ state }) => {
      const rest = state.replacer.end();
      return [appendChunk(rest), setDynamicMetadata("pii", { hidden: state.hidden })];
    },
  },
});
