import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { decodeBody, encodeBody } from "../../bodies/coding/whole-body.ts";
import { parsedMessageBytes } from "../../bodies/json/parsed-memory.ts";
import { joinBytes, plainBytes } from "../../bodies/owned-bytes.ts";
import { DEFAULT_MAX_BYTES } from "../../processor/body-handler.ts";
import { effectData } from "../../processor/effect.ts";
import { GRPC_PREFIX_BYTES } from "../../protocol/grpc-framing.ts";
import { utf8Bytes } from "../../protocol/headers/header-text.ts";
import type { BodyPhase } from "../../protocol/phase.ts";
import { refuseLoneSurrogate } from "../../text/escaped-text.ts";
import { nameKind } from "../../text/value-kind.ts";
import { after, type BodyBytes, type BodyStage, type Emit, type Soon, type StageEnd } from "./body-stage.ts";
import type { GrpcCall } from "./grpc-call.ts";
import { CoderBudget, type FullBudget, HeldRoom } from "./held-room.ts";
import type { StageContext } from "./stage-context.ts";

/** The options of a {@link GrpcStage}. */
export interface GrpcStageOptions {
  readonly call: GrpcCall;
  readonly phase: BodyPhase;
  /** True if each piece is one message without its prefix, as in GRPC mode. */
  readonly unframed: boolean;
  readonly maxBytes: number | undefined;
}

/** A message, with the flag that says whether it is compressed. */
interface GrpcMessage {
  readonly bytes: BodyBytes;
  readonly compressed: boolean;
  /** The message as it came, with its prefix. */
  readonly framed: BodyBytes;
}

const REPLACEMENT = Buffer.from("\ufffd");
/**
 * The number of messages per turn of the event loop. 1 MB can contain 200,000 empty messages. 1000 of them cost 1 or 2
 * ms, plus the handler's time.
 */
const TURN_MESSAGES = 1000;

/** Gives the gRPC messages of a body to their handler, one by one. */
export class GrpcStage implements BodyStage {
  readonly #context: StageContext;
  readonly #options: GrpcStageOptions;
  readonly #maxBytes: number;
  readonly #room: HeldRoom;
  #held: BodyBytes[] = [];
  #heldBytes = 0;
  #isClosed = false;

  constructor(context: StageContext, options: GrpcStageOptions) {
    this.#context = context;
    this.#options = options;
    this.#room = new HeldRoom(context.budget);
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  }

  get withholds(): boolean {
    return this.#heldBytes > 0;
  }

  push(piece: BodyBytes, emit: Emit): Soon<StageEnd | undefined> {
    if (piece.length === 0 && !this.#options.unframed) return undefined;
    const cap = this.#room.take(piece.length);
    if (cap !== undefined) return this.#context.overLimit(cap, undefined);
    if (this.#options.unframed) {
      const message = { bytes: piece, compressed: this.#context.messageCompressed, framed: piece };
      return after(this.#handle(message, emit), (end) => this.#handled(piece.length, end));
    }
    this.#held.push(piece);
    this.#heldBytes += piece.length;
    return this.#next(emit);
  }

  end(emit: Emit, complete: boolean): Soon<StageEnd | undefined> {
    if (this.#heldBytes === 0) return undefined;
    if (!complete) {
      const beginning = this.#join();
      this.#held = [];
      this.#heldBytes = 0;
      this.#room.give();
      return emit(beginning);
    }
    return this.#context.fault("grpc_message_malformed", "the body ends inside a gRPC message");
  }

  close(): void {
    this.#held = [];
    this.#heldBytes = 0;
    this.#isClosed = true;
    this.#room.close();
    this.#context.close();
  }

  /**
   * Takes one message after another from the bytes that have arrived, up to the number for one turn of the event loop.
   */
  #next(emit: Emit): Soon<StageEnd | undefined> {
    for (let count = 0; count < TURN_MESSAGES; count++) {
      const message = this.#takeMessage();
      if (message === undefined || "kind" in message) return message;
      const { length } = message.framed;
      const handled = this.#handle(message, emit);
      if (handled instanceof Promise) return handled.then((end) => this.#handled(length, end) ?? this.#next(emit));
      if (this.#handled(length, handled) !== undefined) return handled;
    }
    this.#context.pending();
    return new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#next(emit));
  }

  #handled(bytes: number, end: StageEnd | undefined): StageEnd | undefined {
    this.#room.give(bytes);
    return end;
  }

  #takeMessage(): GrpcMessage | StageEnd | undefined {
    if (this.#heldBytes < GRPC_PREFIX_BYTES) return undefined;
    let all = this.#held[0] as BodyBytes;
    if (all.length < GRPC_PREFIX_BYTES) all = this.#join();
    const flag = all[0] ?? 0;
    const length = new DataView(all.buffer, all.byteOffset + 1, 4).getUint32(0);
    if (flag > 1) return this.#context.fault("grpc_message_malformed", "a gRPC message has an unknown flag");
    if (length > this.#maxBytes) return this.#context.overLimit("body", this.#maxBytes);
    const end = GRPC_PREFIX_BYTES + length;
    if (this.#heldBytes < end) return undefined;
    all = this.#join();
    const framed = all.subarray(0, end);
    this.#heldBytes -= end;
    this.#held = this.#heldBytes > 0 ? [all.subarray(end)] : [];
    return { framed, bytes: framed.subarray(GRPC_PREFIX_BYTES), compressed: flag === 1 };
  }

  #join(): BodyBytes {
    const all = joinBytes(this.#held);
    this.#held = [all];
    return all;
  }

  #handle(message: GrpcMessage, emit: Emit): Soon<StageEnd | undefined> {
    const { codings } = this.#options.call;
    if (!message.compressed) return this.#handlePlain(message.bytes, message, emit);
    if (codings.length === 0)
      return this.#context.fault(
        "unknown_coding",
        "a gRPC message is compressed, and its grpc-encoding cannot be decoded",
      );
    const room = new CoderBudget(this.#context.budget);
    let full: FullBudget | undefined;
    let decodedBytes = 0;
    const hold = (count: number) => {
      // The output is no longer needed.
      if (this.#isClosed) return false;
      full = this.#room.take(count);
      if (full === undefined) decodedBytes += count;
      return full === undefined;
    };
    const decoded = decodeBody(message.bytes, codings, { maxBytes: this.#maxBytes, hold, room });
    if (decoded instanceof Promise) {
      this.#context.pending();
      this.#room.useUntil(decoded);
    }
    return after(decoded, (body) => {
      if (this.#isClosed) return undefined;
      if (body.kind === "failed")
        return full === undefined ? this.#context.codingFault(body, room) : this.#context.overLimit(full, undefined);
      return after(this.#handlePlain(body.bytes, message, emit), (end) => this.#handled(decodedBytes, end));
    });
  }

  #handlePlain(bytes: BodyBytes, message: GrpcMessage, emit: Emit): Soon<StageEnd | undefined> {
    const { call, phase } = this.#options;
    let parsed: unknown;
    try {
      parsed = fromBinary(call.schema, bytes);
    } catch (cause) {
      return this.#context.fault("grpc_message_malformed", `a message is not a valid ${call.schema.typeName}`, cause);
    }
    const full = this.#context.lend(() => parsedMessageBytes(parsed));
    if (full !== undefined) return this.#context.overLimit(full, undefined);
    return this.#context.call(
      () => call.handle(parsed, this.#context.tx),
      (outcome) => {
        if (outcome === undefined) return emit(message.framed);
        if (effectData(outcome) === undefined && !Array.isArray(outcome)) return this.#replace(outcome, message, emit);
        this.#context.work.replacement = undefined;
        const end = this.#context.fold(outcome, phase);
        const { replacement } = this.#context.work;
        this.#context.work.replacement = undefined;
        if (end !== undefined) return end;
        if (replacement === undefined) return emit(message.framed);
        const bytes = typeof replacement === "string" ? utf8Bytes(replacement) : replacement;
        return this.#emitBytes(bytes, message, emit);
      },
      this.#room,
    );
  }

  #replace(outcome: unknown, message: GrpcMessage, emit: Emit): Soon<StageEnd | undefined> {
    const { schema } = this.#options.call;
    if (typeof outcome !== "object" || outcome === null)
      return this.#context.fault(
        "invalid_effect",
        `returned ${nameKind(outcome)}, must be a message, an effect or nothing`,
      );
    let bytes: Uint8Array;
    try {
      bytes = toBinary(schema, outcome as never);
    } catch {
      return this.#context.fault("invalid_effect", `returned a value that cannot be written as ${schema.typeName}`);
    }
    // The encoder writes U+FFFD for text that is not valid Unicode.
    const problem = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(REPLACEMENT)
      ? refuseTextsOf(outcome)
      : undefined;
    if (problem !== undefined)
      return this.#context.fault("invalid_effect", `returned a ${schema.typeName} whose ${problem}`);
    return this.#emitBytes(bytes, message, emit);
  }

  #emitBytes(bytes: Uint8Array, { compressed }: GrpcMessage, emit: Emit): Soon<StageEnd | undefined> {
    this.#context.changed();
    if (!compressed) return emit(this.#frame(bytes, 0));
    const room = new CoderBudget(this.#context.budget);
    const encoded = encodeBody(bytes, this.#options.call.codings, room);
    if (encoded instanceof Promise) this.#context.pending();
    return after(encoded, (body) =>
      body.kind === "failed" ? this.#context.codingFault(body, room) : emit(this.#frame(body.bytes, 1)),
    );
  }

  #frame(bytes: Uint8Array, flag: number): BodyBytes {
    if (this.#options.unframed) return plainBytes(bytes);
    const framed = new Uint8Array(GRPC_PREFIX_BYTES + bytes.length);
    framed[0] = flag;
    new DataView(framed.buffer, 1, 4).setUint32(0, bytes.length);
    framed.set(bytes, GRPC_PREFIX_BYTES);
    return framed;
  }
}

/** Says which text of a message cannot be written as UTF-8; undefined if every text can. */
function refuseTextsOf(value: unknown, name = "text"): string | undefined {
  if (typeof value === "string") {
    const problem = refuseLoneSurrogate(value, { escapes: false });
    return problem && `${name} ${problem}`;
  }
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return undefined;
  for (const [key, item] of Object.entries(value)) {
    const problem = refuseTextsOf(key, "key") ?? refuseTextsOf(item, Array.isArray(value) ? name : key);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
