import type { Fault } from "../../protocol/fault.ts";
import { charsetOf, encodeText, encodingOf, type TextEncoding, withUtf8Charset } from "../../text/charset.ts";
import type { Bytes } from "./body-stage.ts";
import type { StageHost } from "./stage-host.ts";

/** What is to be written in place of a text. */
export interface TextChange {
  readonly text: string;
  /** How the text before it was encoded. */
  readonly encoding: TextEncoding;
  /** The text before it; undefined if the bytes were not text. */
  readonly original: string | undefined;
}

const NO_BYTES = new Uint8Array(0);
const encoder = new TextEncoder();

/** The charset of one body, which handlers one behind the other read and write. */
export class BodyCharset {
  /** The charset parameter of `content-type` that says how the bytes are encoded by now. */
  #label: string | undefined;

  constructor(contentType: string | undefined) {
    this.#label = charsetOf(contentType);
  }

  /** How bytes of the body are encoded. */
  encodingOf(bytes: Uint8Array, isJson: boolean): TextEncoding {
    return encodingOf(bytes, this.#label, { json: isJson });
  }

  /** True while no handler has changed the charset that `content-type` names. */
  isUnchanged(host: StageHost): boolean {
    return charsetOf(host.contentType) === this.#label;
  }

  /** A handler replaced the body with bytes of its own: they are what `content-type` says by now. */
  replaced(host: StageHost): void {
    this.#label = charsetOf(host.contentType);
  }

  /**
   * Encodes a text as `content-type` says by now. A text that has no form in that charset is written in UTF-8, and
   * `content-type` says so if it can still be changed.
   */
  encode({ text, encoding, original }: TextChange, host: StageHost): Bytes | Fault {
    const { contentType } = host;
    const label = charsetOf(contentType);
    const target = label === this.#label ? encoding : encodingOf(NO_BYTES, label, { json: false });
    const bytes = encodeText(text, target, original);
    if (bytes !== undefined) {
      this.#label = label;
      return bytes;
    }
    if (!host.takesHeaderChanges)
      return host.fault(
        "headers_already_sent",
        `the new text cannot be written in the charset of the body (${target.name}), and content-type has left`,
      );
    this.#label = "utf-8";
    host.work.change({
      op: "set",
      name: "content-type",
      value: encoder.encode(withUtf8Charset(contentType ?? "text/plain")),
    });
    return encoder.encode(text);
  }
}
