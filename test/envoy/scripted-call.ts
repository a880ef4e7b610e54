import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { setTimeout as delay } from "node:timers/promises";
import { fromBinary } from "@bufbuild/protobuf";
import { ProcessingRequestSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import {
  type MessageKind,
  messageKind,
  playScript,
  SCRIPT_START,
  type Script,
  type ScriptEvent,
  type ScriptState,
  type Step,
} from "../scenarios/script.ts";
import type { CallEvent, ScriptedCall, ScriptedCallOptions } from "./scripted.ts";

const PREFIX_BYTES = 5;
const NO_ERROR = 0;

/** A call of the scripted server while it goes on. */
export type CallRecorder = ScriptedCall;

/** Runs the script on a stream, and keeps what happens. */
export function recordCall(
  stream: ServerHttp2Stream,
  metadata: IncomingHttpHeaders,
  options: ScriptedCallOptions,
): CallRecorder {
  return new RecordedCall(stream, metadata, options);
}

class RecordedCall implements ScriptedCall {
  readonly metadata: IncomingHttpHeaders;
  readonly received: ScriptedCall["received"][number][] = [];
  readonly kinds: MessageKind[] = [];
  readonly sent: ScriptedCall["sent"][number][] = [];
  readonly events: ScriptedCall["events"][number][] = [];
  readonly ended: Promise<void>;
  halfClosed = false;
  resetCode: number | undefined;
  busy = false;

  readonly #stream: ServerHttp2Stream;
  readonly #options: ScriptedCallOptions;
  readonly #steps: Step[] = [];
  readonly #watchers = new Set<() => void>();
  readonly #startedMs = performance.now();
  #state: ScriptState = SCRIPT_START;
  #pending: Buffer[] = [];
  #serverEnded = false;
  #trailers: Record<string, string> = {};
  #finish: () => void = () => {};

  constructor(stream: ServerHttp2Stream, metadata: IncomingHttpHeaders, options: ScriptedCallOptions) {
    this.#stream = stream;
    this.#options = options;
    this.metadata = metadata;
    this.ended = new Promise((resolve) => {
      this.#finish = resolve;
    });
    stream.on("data", (data: Buffer) => this.#read(data));
    stream.on("end", () => this.#onEnd());
    stream.on("wantTrailers", () => stream.sendTrailers(this.#trailers));
    stream.on("error", () => {});
    let aborted = false;
    stream.on("aborted", () => {
      aborted = true;
    });
    stream.on("close", () => this.#onClose(aborted));
    this.#play({ kind: "start" });
  }

  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (condition()) resolve();
        else if (this.events.at(-1)?.kind === "closed") reject(new Error("the call has ended before that"));
        else return;
        this.#watchers.delete(look);
      };
      this.#watchers.add(look);
      look();
    });
  }

  get #script(): Script {
    return this.#options.script;
  }

  #record(event: CallEvent): void {
    this.events.push({ ...event, atMs: Math.round(performance.now() - this.#startedMs) });
    this.#options.onEvent?.(event, this);
    for (const look of [...this.#watchers]) look();
  }

  #read(data: Buffer): void {
    this.#pending.push(data);
    let have = Buffer.concat(this.#pending);
    while (have.length >= PREFIX_BYTES) {
      const end = PREFIX_BYTES + have.readUInt32BE(1);
      if (have.length < end) break;
      const message = fromBinary(ProcessingRequestSchema, new Uint8Array(have.subarray(PREFIX_BYTES, end)));
      have = have.subarray(end);
      this.received.push(message);
      this.kinds.push(messageKind(message));
      this.#record({ kind: "received", message });
      this.#play({ kind: "message", message });
    }
    this.#pending = have.length > 0 ? [have] : [];
  }

  #onEnd(): void {
    // Node ends the readable side of a stream that was reset, too.
    if (this.#stream.aborted || this.#stream.rstCode !== NO_ERROR) return;
    this.halfClosed = true;
    this.#record({ kind: "halfClosed" });
    this.#play({ kind: "halfClose" });
  }

  #onClose(aborted: boolean): void {
    const { rstCode } = this.#stream;
    const byUs = this.events.some((event) => event.kind === "serverEnded" && /^(reset|disconnect)/.test(event.how));
    if (!byUs && (aborted || rstCode !== NO_ERROR)) {
      this.resetCode = rstCode;
      this.#record({ kind: "reset", code: rstCode });
    }
    this.#steps.length = 0;
    this.#record({ kind: "closed" });
    this.#finish();
  }

  #play(event: ScriptEvent): void {
    const { state, steps } = playScript(this.#script, this.#state, event);
    this.#state = state;
    this.#steps.push(...steps);
    if (!this.busy) this.#work();
  }

  /** Takes the steps that are due. They stay in order, so that a wait holds up everything behind it. */
  #work(): void {
    for (let step = this.#steps.shift(); step !== undefined; step = this.#steps.shift()) {
      if (step.kind === "wait") {
        this.busy = true;
        void delay(step.ms).then(() => {
          this.busy = false;
          this.#work();
        });
        return;
      }
      if (!this.#serverEnded && !this.#stream.destroyed) this.#take(step);
    }
  }

  #take(step: Exclude<Step, { kind: "wait" }>): void {
    const stream = this.#stream;
    if (step.kind === "send" || step.kind === "sendRaw") {
      this.#respond();
      stream.write(step.kind === "send" ? framed(step.bytes) : step.bytes);
      const response = step.kind === "send" ? step.response : undefined;
      if (response) this.sent.push(response);
      this.#record({ kind: "sent", bytes: step.bytes, ...(response && { response }) });
      return;
    }
    if (step.kind === "sendHeaders") {
      this.#respond();
      return;
    }
    this.#serverEnded = true;
    this.#record({ kind: "serverEnded", how: describeEnd(step) });
    this.#end(step);
  }

  #end(step: Extract<Step, { kind: "end" | "halfClose" | "httpStatus" | "reset" | "disconnect" }>): void {
    const stream = this.#stream;
    switch (step.kind) {
      case "end": {
        const status = { "grpc-status": String(step.code), ...(step.message && { "grpc-message": step.message }) };
        this.#trailers = status;
        if (stream.headersSent) stream.end();
        else stream.respond({ ...HEADERS, ...status }, { endStream: true });
        return;
      }
      case "halfClose":
        this.#respond();
        stream.end();
        return;
      case "httpStatus":
        if (!stream.headersSent) stream.respond({ ":status": step.status }, { endStream: true });
        return;
      case "reset":
        stream.close(step.code);
        return;
      case "disconnect":
        stream.session?.destroy();
        return;
    }
  }

  #respond(): void {
    if (!this.#stream.headersSent) this.#stream.respond(HEADERS, { waitForTrailers: true });
  }
}

const HEADERS = { ":status": 200, "content-type": "application/grpc" };

function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(PREFIX_BYTES + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

function describeEnd(step: Step): string {
  if (step.kind === "end") return `end ${step.code}`;
  if (step.kind === "reset") return `reset ${step.code}`;
  if (step.kind === "httpStatus") return `httpStatus ${step.status}`;
  return step.kind;
}
