import { defineProcessor, replacedChunks } from "ext-proc";

const SCRIPT = '<script src="/consent.js" async></script>';

export default defineProcessor({
  name: "html-rewrite",
  responseBody: {
    read: "stream",
    when: (tx) => /^text\/html\b/i.test(tx.response?.get("content-type") ?? ""),
    handle(chunks) {
      const secure = replacedChunks(chunks, {
        pattern: /\b(href|src)\s{0,8}=\s{0,8}"http:\/\//i,
        maxMatchBytes: 32,
        replacement: (match) => match.replace(/http:/i, "https:"),
      });
      let isThere = false;
      return replacedChunks(secure, {
        pattern: /<\/head\s{0,8}>/i,
        maxMatchBytes: 16,
        // The first match ends the head. Later matches are in scripts and comments.
        replacement(end) {
          if (isThere) return end;
          isThere = true;
          return SCRIPT + end;
        },
      });
    },
  },
});
