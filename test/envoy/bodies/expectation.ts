import { type BodyCase, MIB } from "./cases.ts";
import { bodyOf } from "./material.ts";
import { READERS, type Reader } from "./readers.ts";
import { DEFAULT_BUFFER_BYTES, SETTINGS, type Setting } from "./settings.ts";

/** What has to come of a body. */
export type Expectation =
  /** `handled`: its handler saw the end. */
  | { readonly kind: "passes"; readonly body: Buffer; readonly handled: boolean }
  /** The receiver does not get a whole message with status 200. */
  | { readonly kind: "fails"; readonly fault: string }
  /** Envoy waits for what does not come, until its idle timeout. */
  | { readonly kind: "hangs" };

/**
 * What design and protocol have for a case, said again here rather than taken from the code under test.
 *
 * @param emptyFrameHangs Before 1.40, an override to full duplex loses a body that is nothing but its end.
 */
export function expectationOf(test: BodyCase, emptyFrameHangs = false): Expectation {
  const reader: Reader = READERS[test.reader];
  const setting: Setting = SETTINGS[test.setting];
  const body = bodyOf(reader.material, test.size, test.direction);
  const { length, trailers } = test.framing;
  const isUnseen = setting.mode === "NONE" && !setting.overrides;
  if (test.reader === "untouched" || isUnseen) return { kind: "passes", body, handled: false };
  const mode = modeOf(test, reader, setting);
  if (test.size === 0) {
    // The server lets a request go on which Envoy hangs.
    const mayHang = setting.overrides === true && mode === "FULL_DUPLEX_STREAMED" && test.direction === "response";
    if (mayHang && (trailers || (emptyFrameHangs && !length))) return { kind: "hangs" };
    // An empty body has no handler call, however it is framed.
    return { kind: "passes", body, handled: false };
  }
  if (reader.whole && mode === "STREAMED" && !length && !setting.overrides)
    return { kind: "fails", fault: "body_end_unknowable" };
  // With trailers behind it, a body that is all there looks like the beginning of one, and a tail may stand in its middle.
  const looksCut = mode === "BUFFERED_PARTIAL" && trailers && !length;
  const needsEnd = reader.needsAll === true || (reader.tail?.(body).length ?? 0) > 0;
  if (looksCut && needsEnd) return { kind: "fails", fault: "body_too_large" };
  // What is not a whole message may be the beginning of one.
  if (looksCut && reader.material === "grpc" && test.size === 1) return { kind: "passes", body, handled: false };
  const isHidden = trailers && !length && !tellsTrailers(test, mode, setting);
  const refusal = refusalOf(test, reader);
  // Neither side can see that the message has no end.
  if (refusal !== undefined && reader.material === "grpc" && isHidden && mode === "STREAMED")
    return { kind: "passes", body: body.subarray(0, 0), handled: false };
  if (refusal !== undefined) return { kind: "fails", fault: refusal };
  const expected = madeOf(test, reader);
  if (mode !== "STREAMED" || !trailers || length) return { kind: "passes", body: expected, handled: true };
  const { length: tailBytes = 0 } = reader.tail?.(body) ?? {};
  if (isHidden) return { kind: "passes", body: expected.subarray(0, expected.length - tailBytes), handled: false };
  return tailBytes > 0
    ? { kind: "fails", fault: "tail_undeliverable" }
    : { kind: "passes", body: expected, handled: true };
}

const made = new Map<string, Buffer>();

/** The body as its handler changes it. Remembered, since a large one takes time while Envoy waits. */
function madeOf({ reader: name, size, direction }: BodyCase, reader: Reader): Buffer {
  const key = `${name} ${size} ${direction}`;
  const body = made.get(key) ?? reader.expected(bodyOf(reader.material, size, direction), direction);
  made.set(key, body);
  return body;
}

/** The mode in which the body comes, an override included. */
function modeOf(
  { framing, size, direction }: BodyCase,
  reader: Reader,
  { mode, overrides = false }: Setting,
): Setting["mode"] {
  if (!overrides) return mode;
  // Trailers are announced here.
  const mayHang = direction === "response" && !framing.length && !framing.trailers;
  if (mayHang && reader.material !== "grpc") return "STREAMED";
  if (reader.whole) return framing.length && size <= DEFAULT_BUFFER_BYTES ? "BUFFERED" : "FULL_DUPLEX_STREAMED";
  if (reader.tail && !framing.length) return "FULL_DUPLEX_STREAMED";
  return "STREAMED";
}

/** Whether the server sees trailers, and with them the end; an override to STREAMED asks for them if it has to. */
function tellsTrailers(
  { framing }: BodyCase,
  mode: Setting["mode"],
  { mode: configured, trailers = false }: Setting,
): boolean {
  const asks = configured === "NONE" && mode === "STREAMED" && !framing.length;
  return trailers || mode === "FULL_DUPLEX_STREAMED" || asks;
}

function refusalOf({ size }: BodyCase, { refusesOneByte }: Reader): string | undefined {
  return size === 1 ? refusesOneByte : undefined;
}

/** Bodies of which few can be under way at the same time. */
export function isLarge({ size }: BodyCase): boolean {
  return size > MIB;
}
