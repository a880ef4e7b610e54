import { toBinary } from "@bufbuild/protobuf";
import {
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/** The bytes of an answer. */
export class AnswerBytes {
  /** The number of bytes. */
  readonly length: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.length = bytes.length;
    this.#bytes = bytes;
  }

  /** Writes the bytes to an offset. */
  copyTo(target: Uint8Array, offset: number): void {
    target.set(this.#bytes, offset);
  }
}

/** Module state: answers that many streams share are encoded once for the whole process. */
const bytesOf = new WeakMap<ProcessingResponse, AnswerBytes>();

/** Keeps the bytes of an answer that many streams use. The answer must not change from now on. */
export function cacheBytes(answer: ProcessingResponse): void {
  bytesOf.set(answer, new AnswerBytes(toBinary(ProcessingResponseSchema, answer)));
}

/** Returns the bytes of an answer that many streams use; undefined for any other answer. */
export function cachedBytes(answer: ProcessingResponse): AnswerBytes | undefined {
  return bytesOf.get(answer);
}

/** The last answer of a phase, and the objects that it was made of. */
interface LastAnswer {
  parts: readonly object[];
  /** The array of parts may grow after the answer was made. */
  count: number;
  answer: ProcessingResponse | undefined;
  isCached: boolean;
}

/** Module state: most processors make the same answer in every transaction, so the last one of each phase is kept. */
const lastAnswers: Record<"requestHeaders" | "responseHeaders", LastAnswer> = {
  requestHeaders: { parts: [], count: 0, answer: undefined, isCached: false },
  responseHeaders: { parts: [], count: 0, answer: undefined, isCached: false },
};

/**
 * Returns the last answer of a phase if it was made of the same objects, in the same order. An answer that comes a second
 * time is encoded once for all streams.
 */
export function answerMadeOf(
  phase: "requestHeaders" | "responseHeaders",
  parts: readonly object[],
): ProcessingResponse | undefined {
  const last = phase === "requestHeaders" ? lastAnswers.requestHeaders : lastAnswers.responseHeaders;
  if (last.answer === undefined || last.count !== parts.length) return undefined;
  for (let at = 0; at < parts.length; at++) if (last.parts[at] !== parts[at]) return undefined;
  if (!last.isCached) cacheBytes(last.answer);
  last.isCached = true;
  return last.answer;
}

/**
 * Remembers the answer that was made of these objects. Neither the objects nor the answer may change from now on; the
 * array may grow.
 */
export function rememberAnswer(
  phase: "requestHeaders" | "responseHeaders",
  parts: readonly object[],
  answer: ProcessingResponse,
): void {
  const last = phase === "requestHeaders" ? lastAnswers.requestHeaders : lastAnswers.responseHeaders;
  last.parts = parts;
  last.count = parts.length;
  last.answer = answer;
  last.isCached = false;
}
