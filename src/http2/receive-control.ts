import { chargeControlFrame, failStream } from "./client-faults.ts";
import type { ConnectionContext } from "./connection-context.ts";
import { ConnectionError } from "./end-reason.ts";
import { ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, NO_ERROR, PROTOCOL_ERROR } from "./error-codes.ts";
import { ACK, type Frame, readUint31, readUint32 } from "./frames.ts";
import {
  readSetting,
  SETTING_BYTES,
  SETTINGS_HEADER_TABLE_SIZE,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_MAX_FRAME_SIZE,
} from "./settings.ts";

/** Events of control frames that concern the whole connection. */
export interface ControlEvents {
  /** The client has acknowledged the server's SETTINGS. */
  onSettingsAck(): void;
  /** The client has answered a PING. Its payload is `bytes[start..start+8)`. */
  onPingAck(bytes: Buffer, start: number): void;
}

/** Reads RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE and PRIORITY (RFC 9113 sections 6.3 to 6.9). */
export class ControlReceiver {
  readonly #context: ConnectionContext;
  readonly #events: ControlEvents;

  constructor(context: ConnectionContext, events: ControlEvents) {
    this.#context = context;
    this.#events = events;
  }

  /** Section 6.4. */
  onRstStream(frame: Frame): void {
    const { streams, totals, buckets, isTrusted } = this.#context;
    if (frame.streamId === 0 || frame.streamId > streams.lastId) {
      // Streams beyond the last GOAWAY are ignored, and their resets with them.
      if (frame.streamId > streams.maxAcceptedId) return;
      throw new ConnectionError(PROTOCOL_ERROR, "invalid_stream_state", "RST_STREAM on an idle stream");
    }
    checkLength(frame, 4);
    const stream = streams.get(frame.streamId);
    // Proxies reset every stream that they do not need any more, also ended streams.
    if (stream === undefined) return;
    streams.resetByClient(stream, readUint32(frame.bytes, frame.start));
    if (stream.isWorkedOn) {
      totals.resetsAfterWork++;
      return;
    }
    totals.resetsBeforeWork++;
    if (!isTrusted && !buckets.resetsBeforeWork.take()) {
      throw new ConnectionError(ENHANCE_YOUR_CALM, "reset_flood", "too many resets of streams not yet worked on");
    }
  }

  /** Section 6.5. */
  onSettings(frame: Frame): void {
    if (frame.streamId !== 0) throw new ConnectionError(PROTOCOL_ERROR, "invalid_frame", "SETTINGS on a stream");
    const isAck = (frame.flags & ACK) !== 0;
    if (isAck ? frame.length !== 0 : frame.length % SETTING_BYTES !== 0) {
      throw new ConnectionError(FRAME_SIZE_ERROR, "invalid_frame_size", `SETTINGS of ${frame.length} bytes`);
    }
    chargeControlFrame(this.#context);
    if (isAck) {
      this.#events.onSettingsAck();
      return;
    }
    const { sender } = this.#context;
    let initialWindowBytes = sender.initialWindowBytes;
    for (let at = frame.start; at < frame.end; at += SETTING_BYTES) {
      const { id, value } = readSetting(frame.bytes, at);
      // The other settings concern server push, or are hints.
      if (id === SETTINGS_HEADER_TABLE_SIZE) sender.setClientTableBytes(value);
      else if (id === SETTINGS_MAX_FRAME_SIZE) sender.setClientMaxFrameBytes(value);
      else if (id === SETTINGS_INITIAL_WINDOW_SIZE) initialWindowBytes = value;
    }
    // One call for all changes: a frame has room for 2,730 changes, and each one affects every stream.
    this.#changeWindows(initialWindowBytes);
    sender.settingsAck();
    sender.pump();
  }

  /** Section 6.7. */
  onPing(frame: Frame): void {
    const { sender, totals } = this.#context;
    if (frame.streamId !== 0) throw new ConnectionError(PROTOCOL_ERROR, "invalid_frame", "PING on a stream");
    checkLength(frame, 8);
    chargeControlFrame(this.#context);
    if ((frame.flags & ACK) !== 0) {
      this.#events.onPingAck(frame.bytes, frame.start);
      return;
    }
    totals.pingsReceived++;
    sender.pingAck(frame.bytes.subarray(frame.start, frame.end));
  }

  /** Section 6.8: the client will open no more streams. The server need not do anything. */
  onGoaway(frame: Frame): void {
    if (frame.streamId !== 0) throw new ConnectionError(PROTOCOL_ERROR, "invalid_frame", "GOAWAY on a stream");
    if (frame.length < 8) throw new ConnectionError(FRAME_SIZE_ERROR, "invalid_frame_size", "GOAWAY is too short");
    chargeControlFrame(this.#context);
  }

  /** Section 6.9. These frames have no rate limit: an honest client sends one for each DATA frame it gets. */
  onWindowUpdate(frame: Frame): void {
    const { sender, streams } = this.#context;
    const { streamId } = frame;
    checkLength(frame, 4);
    const bytes = readUint31(frame.bytes, frame.start);
    if (streamId === 0) {
      this.#growConnectionWindow(bytes);
      return;
    }
    const stream = streams.get(streamId);
    if (stream === undefined) {
      const isIdle = streams.closedState(streamId) === "idle" && streamId <= streams.maxAcceptedId;
      if (isIdle) throw new ConnectionError(PROTOCOL_ERROR, "invalid_stream_state", "WINDOW_UPDATE on an idle stream");
    } else if (bytes === 0) {
      failStream(this.#context, stream, PROTOCOL_ERROR);
    } else if (!stream.sendWindow.grow(bytes)) {
      failStream(this.#context, stream, FLOW_CONTROL_ERROR);
    } else {
      stream.onWindowGrown();
      sender.pump();
    }
  }

  /** Section 6.3 and RFC 7540 section 5.3. The frame is deprecated and has no effect, but it is checked. */
  onPriority(frame: Frame): void {
    const { streamId } = frame;
    if (streamId === 0) throw new ConnectionError(PROTOCOL_ERROR, "invalid_frame", "PRIORITY on stream 0");
    chargeControlFrame(this.#context);
    const isSelfDependent = frame.length >= 4 && readUint31(frame.bytes, frame.start) === streamId;
    const code = frame.length !== 5 ? FRAME_SIZE_ERROR : isSelfDependent ? PROTOCOL_ERROR : NO_ERROR;
    if (code === NO_ERROR) return;
    const stream = this.#context.streams.get(streamId);
    // RST_STREAM must not be sent on an idle stream.
    if (stream === undefined) throw new ConnectionError(code, "invalid_frame", "invalid PRIORITY");
    failStream(this.#context, stream, code);
  }

  #growConnectionWindow(bytes: number): void {
    const { sender } = this.#context;
    if (bytes === 0) throw new ConnectionError(PROTOCOL_ERROR, "invalid_frame", "WINDOW_UPDATE of 0");
    if (!sender.window.grow(bytes)) {
      throw new ConnectionError(FLOW_CONTROL_ERROR, "flow_control_violation", "the connection's window exceeds 2^31-1");
    }
    sender.pump();
  }

  /** Changes the windows of open streams too, which can then be below zero (section 6.9.2). */
  #changeWindows(initialWindowBytes: number): void {
    const { sender, streams } = this.#context;
    const change = initialWindowBytes - sender.initialWindowBytes;
    sender.initialWindowBytes = initialWindowBytes;
    if (change === 0) return;
    for (const stream of streams.values()) {
      if (!stream.sendWindow.grow(change)) {
        throw new ConnectionError(FLOW_CONTROL_ERROR, "flow_control_violation", "a stream's window exceeds 2^31-1");
      }
      stream.onWindowGrown();
    }
  }
}

function checkLength(frame: Frame, length: number): void {
  if (frame.length !== length) {
    throw new ConnectionError(
      FRAME_SIZE_ERROR,
      "invalid_frame_size",
      `a frame of ${frame.length} bytes, not ${length}`,
    );
  }
}
