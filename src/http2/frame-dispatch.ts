import { chargeControlFrame } from "./client-faults.ts";
import type { ConnectionContext } from "./connection-context.ts";
import { ConnectionError } from "./end-reason.ts";
import { PROTOCOL_ERROR } from "./error-codes.ts";
import type { ReceiveWindow } from "./flow-control.ts";
import type { FrameSink } from "./frame-reader.ts";
import {
  ACK,
  CONTINUATION,
  type Frame,
  GOAWAY,
  HEADERS,
  PING,
  PRIORITY,
  PUSH_PROMISE,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from "./frames.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { type ControlEvents, ControlReceiver } from "./receive-control.ts";
import { DataReceiver } from "./receive-data.ts";
import { HeadersReceiver } from "./receive-headers.ts";

/** Passes each frame to the reader of its type, after the rules that apply to all types (RFC 9113 sections 3.4 and 4.3). */
export class FrameDispatch implements FrameSink {
  /** True after the client's SETTINGS have arrived, which are the end of its preface. */
  hasSettings = false;
  readonly #context: ConnectionContext;
  readonly #headers: HeadersReceiver;
  readonly #data: DataReceiver;
  readonly #control: ControlReceiver;

  constructor(context: ConnectionContext, window: ReceiveWindow, events: ControlEvents) {
    const hpack = new HpackDecoder(context.limits);
    this.#context = context;
    this.#headers = new HeadersReceiver(context, hpack);
    this.#data = new DataReceiver(context, window);
    this.#control = new ControlReceiver(context, {
      onSettingsAck: () => {
        hpack.settingsAcknowledged();
        events.onSettingsAck();
      },
      onPingAck: (bytes, start) => events.onPingAck(bytes, start),
    });
  }

  /** The number of complete header blocks, and whether another one is still open. */
  get headerBlocks(): { readonly completed: number; readonly isOpen: boolean } {
    return this.#headers.blocks;
  }

  onFrame(frame: Frame): void {
    if (!this.hasSettings || this.#headers.blocks.isOpen) this.#checkOrder(frame);
    switch (frame.type) {
      case HEADERS:
        this.#headers.onHeaders(frame);
        break;
      case CONTINUATION:
        this.#headers.onContinuation(frame);
        break;
      case RST_STREAM:
        this.#control.onRstStream(frame);
        break;
      case WINDOW_UPDATE:
        this.#control.onWindowUpdate(frame);
        break;
      case SETTINGS:
        this.#control.onSettings(frame);
        break;
      case PING:
        this.#control.onPing(frame);
        break;
      case GOAWAY:
        this.#control.onGoaway(frame);
        break;
      case PRIORITY:
        this.#control.onPriority(frame);
        break;
      case PUSH_PROMISE:
        throw new ConnectionError(PROTOCOL_ERROR, "invalid_frame", "PUSH_PROMISE from a client");
      default:
        // Section 5.5: unknown types are ignored.
        chargeControlFrame(this.#context);
    }
  }

  onDataStart(frame: Frame, paddingBytes: number): void {
    if (!this.hasSettings || this.#headers.blocks.isOpen) this.#checkOrder(frame);
    this.#data.start(frame, paddingBytes);
  }

  onData(bytes: Buffer, start: number, end: number): void {
    this.#data.data(bytes, start, end);
  }

  onDataEnd(): void {
    this.#data.end();
  }

  #checkOrder(frame: Frame): void {
    if (this.#headers.blocks.isOpen && frame.type !== CONTINUATION) {
      throw new ConnectionError(PROTOCOL_ERROR, "invalid_frame", "a frame inside a header block");
    }
    if (this.hasSettings) return;
    if (frame.type !== SETTINGS || (frame.flags & ACK) !== 0) {
      throw new ConnectionError(PROTOCOL_ERROR, "invalid_preface", "the first frame is not SETTINGS");
    }
    this.hasSettings = true;
  }
}
