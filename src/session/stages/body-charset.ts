import type { Fault } from "../../protocol/fault.ts";
import { charsetOf, encodeText, encodingOf, type TextEncoding, withUtf8Charset } from "../../text/charset.ts";
import type { HandlerCall } from "./handler-call.ts";
import type { BodyBytes } from "./step.ts";

/** A new text and the encoding and text that it replaces. */
export interface TextChange {
  readonly text: string;
  /** The encoding of the old text. */
  readonly encoding: TextEncoding;
  /** The old text; undefined if the bytes were not text. */
  readonly original: string | undefined;
}

const NO_BYTES = new Uint8Array(0);
const encoder = new TextEncoder();

/** The charset of one body, which its handlers read and write in order. */
export class BodyCharset {
  /** The charset parameter of `content-type`, with the changes made so far. */
  #label: string | undefined;

  constructor(contentType: string | undefined) {
    this.#label = charsetOf(contentType);
  }

  /** Returns the encoding of the body's bytes. */
  encodingOf(bytes: Uint8Array, isJson: boolean): TextEncoding {
    return encodingOf(bytes, this.#label, { json: isJson });
  }

  /** True if no handler has changed the charset in `content-type`. */
  isUnchanged({ contentType }: HandlerCall): boolean {
    return charsetOf(contentType) === this.#label;
  }

  /** A handler replaced the body with its own bytes. Their encoding is what `content-type` says now. */
  replaced({ contentType }: HandlerCall): void {
    this.#label = charsetOf(contentType);
  }

  /**
   * Encodes a text as `content-type` says now. A text that cannot be written in that charset is written in UTF-8, and
   * `content-type` is changed if that is still possible.
   */
  encode({ text, encoding, original }: TextChange, { body, contentType, faults }: HandlerCall): BodyBytes | Fault {
    const label = charsetOf(contentType);
    const target = label === this.#label ? encoding : encodingOf(NO_BYTES, label, { json: false });
    const bytes = encodeText(text, target, original);
    if (bytes !== undefined) {
      this.#label = label;
      return bytes;
    }
    if (!body.takesHeaderChanges)
      return faults.fault(
        "headers_already_sent",
        `the new text cannot be written in the charset of the body (${target.name}), and content-type was already sent`,
      );
    this.#label = "utf-8";
    body.work.change({
      op: "set",
      name: "content-type",
      value: encoder.encode(withUtf8Charset(contentType ?? "text/plain")),
    });
    return encoder.encode(text);
  }
}
