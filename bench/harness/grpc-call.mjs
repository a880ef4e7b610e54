// A small gRPC client over node:http2, for checks and for streams that stay open; not for load.
import { connect } from "node:http2";
import { PROCESS_PATH } from "./messages.mjs";

const LIMIT_MS = 10_000;
const HEADERS = {
  ":method": "POST",
  ":path": PROCESS_PATH,
  "content-type": "application/grpc",
  te: "trailers",
};

/**
 * Opens a connection.
 *
 * @param {string} address
 * @returns {import("node:http2").ClientHttp2Session}
 */
export function openSession(address) {
  const session = connect(`http://${address}`);
  // Streams report what fails; without a listener it would end this process.
  session.on("error", () => {});
  return session;
}

/**
 * Sends a request body and gives what came back, as it came.
 *
 * @param {import("node:http2").ClientHttp2Session} session
 * @param {Uint8Array} body
 * @returns {Promise<Buffer>} The answer's DATA bytes.
 * @throws {Error} Where the status is not OK.
 */
export function call(session, body) {
  return new Promise((resolve, reject) => {
    const stream = session.request(HEADERS);
    /** @type {Buffer[]} */
    const pieces = [];
    let status = "none";
    let message = "";
    const readStatus = (/** @type {import("node:http2").IncomingHttpHeaders} */ headers) => {
      status = String(headers["grpc-status"] ?? status);
      message = String(headers["grpc-message"] ?? message);
    };
    stream.setTimeout(LIMIT_MS, () => stream.destroy(new Error(`no answer after ${LIMIT_MS / 1000} s`)));
    // A status without any message may stand in the headers ("trailers-only").
    stream.on("response", readStatus).on("trailers", readStatus).on("error", reject);
    stream.on("data", (piece) => pieces.push(piece));
    stream.on("end", () => {
      if (status === "0") resolve(Buffer.concat(pieces));
      else reject(new Error(`grpc-status ${status} ${decodeURIComponent(message)}`));
    });
    stream.end(body);
  });
}

/**
 * Opens a stream, sends a message, waits for the first answer and leaves the stream open.
 *
 * @param {import("node:http2").ClientHttp2Session} session
 * @param {Uint8Array} body
 * @returns {Promise<void>}
 */
export function openStream(session, body) {
  return new Promise((resolve, reject) => {
    const stream = session.request(HEADERS);
    stream.on("error", reject);
    stream.once("data", () => {
      stream.resume();
      resolve();
    });
    stream.write(body);
  });
}
