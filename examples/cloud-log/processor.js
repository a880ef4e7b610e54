import { defineProcessor } from "ext-proc";

/** The types of bodies that are logged as text. Of other bodies only the size is logged. */
const TEXT = /^(?:text\/|application\/(?:json|xml|x-www-form-urlencoded)\b|[^;]*\+(?:json|xml)\b)/i;

/** The beginning of a body, and its length. */
class Excerpt {
  /** @param {number} maxBytes */
  constructor(maxBytes) {
    this.maxBytes = maxBytes;
    this.bytes = 0;
    this.text = "";
    // The decoder keeps the beginning of a character that the next chunk completes.
    this.decoder = new TextDecoder();
  }

  /** @param {Uint8Array} chunk */
  add(chunk) {
    const room = Math.max(0, this.maxBytes - this.bytes);
    this.bytes += chunk.length;
    if (room > 0) this.text += this.decoder.decode(chunk.subarray(0, room), { stream: true });
  }

  /** @param {string | undefined} type */
  entry(type) {
    if (this.bytes === 0) return undefined;
    const body = TEXT.test(type ?? "") ? this.text : undefined;
    return { bytes: this.bytes, type, body, truncated: this.bytes > this.maxBytes };
  }
}

/**
 * Logs each transaction as one line of JSON, in the form that cloud loggers read from standard output.
 *
 * @param {{ maxBytes?: number, write?: (line: string) => void }} [options] `maxBytes`: how much of each body is logged,
 * default 1024. `write`: takes a line, default standard output.
 */
export function cloudLog({ maxBytes = 1024, write = (line) => process.stdout.write(line) } = {}) {
  return defineProcessor({
    name: "cloud-log",
    onFault: "open",
    state: () => ({ request: new Excerpt(maxBytes), response: new Excerpt(maxBytes) }),
    requestBody: { read: "inspect", chunk: (bytes, { state }) => state.request.add(bytes) },
    responseBody: { read: "inspect", chunk: (bytes, { state }) => state.response.add(bytes) },
    done(tx, { result, durationMs }) {
      const { request, response, state } = tx;
      const status = response?.status;
      // A query can contain keys and tokens.
      const [path] = request.path?.split("?", 1) ?? [];
      const entry = {
        severity: status === undefined || status >= 500 ? "ERROR" : "INFO",
        message: `${request.method} ${path}`,
        httpRequest: {
          requestMethod: request.method,
          requestUrl: `${request.authority}${path}`,
          status,
          userAgent: request.get("user-agent"),
          latency: `${(durationMs / 1000).toFixed(3)}s`,
        },
        result,
        request: state.request.entry(request.get("content-type")),
        response: state.response.entry(response?.get("content-type")),
      };
      write(`${JSON.stringify(entry)}\n`);
    },
  });
}

export default cloudLog();
