// The processor that is attacked. EXT_PROC_ATTACK_VICTIM says what its body handler is; every kind also signs responses,
// and guards one path, so that honest requests show whether it works.
import { defineProcessor, immediateResponse, setHeader } from "ext-proc";

/** Far longer than any time limit of the server. */
const HANG_MS = 10_000;

/** The attacker's requests; the handler does what is right for all others. @param {any} tx */
const isAttack = (tx) => tx.request.path === "/attack" || tx.request.path === "/hang";

const hang = () => new Promise((resolve) => setTimeout(() => resolve(undefined), HANG_MS));

/** An iterable whose iterator has no `return()`, as an author may write it. */
const WITHOUT_RETURN = {
  [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false, value: new Uint8Array(16) }) }),
};

/** An iterable whose `next()` gives a text. */
const BAD_NEXT = { [Symbol.asyncIterator]: () => ({ next: async () => "not an object" }) };

/** @param {AsyncIterable<Uint8Array>} chunks */
async function* unchanged(chunks) {
  yield* chunks;
}

/** @type {Readonly<Record<string, any>>} */
const BODY_HANDLERS = {
  whole: { read: "whole", handle: () => undefined },
  json: { read: "json", handle: () => undefined },
  inspect: { read: "inspect", chunk: () => undefined },
  chunks: { read: "chunks", chunk: (/** @type {Uint8Array} */ bytes) => bytes },
  stream: { read: "stream", handle: unchanged },
  hanging: {
    read: "whole",
    handle: (/** @type {unknown} */ _body, /** @type {any} */ tx) => (isAttack(tx) ? hang() : undefined),
  },
  mixed: {
    read: "chunks",
    chunk: (/** @type {Uint8Array} */ bytes, /** @type {any} */ tx) => (tx.request.path === "/hang" ? hang() : bytes),
  },
  "without-return": {
    read: "stream",
    handle: (/** @type {any} */ chunks, /** @type {any} */ tx) => (isAttack(tx) ? WITHOUT_RETURN : unchanged(chunks)),
  },
  "bad-next": {
    read: "stream",
    handle: (/** @type {any} */ chunks, /** @type {any} */ tx) => (isAttack(tx) ? BAD_NEXT : unchanged(chunks)),
  },
};

const kind = process.env.EXT_PROC_ATTACK_VICTIM ?? "none";
const requestBody = BODY_HANDLERS[kind];
if (requestBody === undefined && kind !== "none") throw new Error(`EXT_PROC_ATTACK_VICTIM: there is no "${kind}"`);

export default defineProcessor({
  name: "victim",
  requestHeaders: (_headers, tx) =>
    tx.request.path === "/forbidden" ? immediateResponse(403, { text: "forbidden\n" }) : undefined,
  responseHeaders: () => setHeader("x-guarded", "yes"),
  ...(requestBody !== undefined && { requestBody }),
});
