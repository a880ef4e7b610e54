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
import type { StageHost } from "./stage-host.ts";

/** What a {@link GrpcStage} is made of. */
export interface GrpcStageOptions {
  readonly call: GrpcCall;
  readonly phase: BodyPhase;
  /** Each piece is one message without its prefix, as in GRPC mode. */
  readonly unframed: boolean;
  readonly maxBytes: number | undefined;
}

/** A message, and the prefix or the flag that says whether it is compressed. */
interface GrpcMessage {
  readonly bytes: BodyBytes;
  readonly compressed: boolean;
  /** The same as it came. */
  readonly framed: BodyBytes;
}

const REPLACEMENT = Buffer.from("\ufffd");
/** A megabyte holds 200,000 empty messages. So many cost a millisecond or two, besides their handler's time. */
const TURN_MESSAGES = 1000;

/** Gives the gRPC messages of a body to their handler, one by one. */
export class GrpcStage implements BodyStage {
  readonly #host: StageHost;
  readonly #options: GrpcStageOptions;
  readonly #maxBytes: number;
  readonly #room: HeldRoom;
  #held: BodyBytes[] = [];
  #heldBytes = 0;
  #isClosed = false;

  constructor(host: StageHost, options: GrpcStageOptions) {
    this.#host = host;
    this.#options = options;
    this.#room = new HeldRoom(host.budget);
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  }

  get withholds(): boolean {
    return this.#heldBytes > 0;
  }

  push(piece: BodyBytes, emit: Emit): Soon<StageEnd | undefined> {
    if (piece.length === 0 && !this.#options.unframed) return undefined;
    const cap = this.#room.take(piece.length);
    if (cap !== undefined) return this.#host.overLimit(cap, undefined);
    if (this.#options.unframed) {
      const message = { bytes: piece, compressed: this.#host.messageCompressed, framed: piece };
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
    return this.#host.fault("grpc_message_malformed", "the body ends inside a gRPC message");
  }

  close(): void {
    this.#held = [];
    this.#heldBytes = 0;
    this.#isClosed = true;
    this.#room.close();
    this.#host.close();
  }

  /** Takes one message after the other out of what is there: as many as a turn of the event loop may cost. */
  #next(emit: Emit): Soon<StageEnd | undefined> {
    for (let count = 0; count < TURN_MESSAGES; count++) {
      const message = this.#takeMessage();
      if (message === undefined || "kind" in message) return message;
      const { length } = message.framed;
      const handled = this.#handle(message, emit);
      if (handled instanceof Promise) return handled.then((end) => this.#handled(length, end) ?? this.#next(emit));
      if (this.#handled(length, handled) !== undefined) return handled;
    }
    this.#host.pending();
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
    if (flag > 1) return this.#host.fault("grpc_message_malformed", "a gRPC message has a flag that is none");
    if (length > this.#maxBytes) return this.#host.overLimit("body", this.#maxBytes);
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
      return this.#host.fault(
        "unknown_coding",
        "a gRPC message is compressed, and its grpc-encoding cannot be taken off",
      );
    const room = new CoderBudget(this.#host.budget);
    let full: FullBudget | undefined;
    let decodedBytes = 0;
    const hold = (count: number) => {
      // Nobody waits for it any more.
      if (this.#isClosed) return false;
      full = this.#room.take(count);
      if (full === undefined) decodedBytes += count;
      return full === undefined;
    };
    const decoded = decodeBody(message.bytes, codings, { maxBytes: this.#maxBytes, hold, room });
    if (decoded instanceof Promise) {
      this.#host.pending();
      this.#room.useUntil(decoded);
    }
    return after(decoded, (body) => {
      if (this.#isClosed) return undefined;
      if (body.kind === "failed")
        return full === undefined ? this.#host.codingFault(body, room) : this.#host.overLimit(full, undefined);
      return after(this.#handlePlain(body.bytes, message, emit), (end) => this.#handled(decodedBytes, end));
    });
  }

  #handlePlain(bytes: BodyBytes, message: GrpcMessage, emit: Emit): Soon<StageEnd | undefined> {
    const { call, phase } = this.#options;
    let parsed: unknown;
    try {
      parsed = fromBinary(call.schema, bytes);
    } catch (cause) {
      return this.#host.fault("grpc_message_malformed", `the body has no ${call.schema.typeName}`, cause);
    }
    const full = this.#host.lend(() => parsedMessageBytes(parsed));
    if (full !== undefined) return this.#host.overLimit(full, undefined);
    return this.#host.call(
      () => call.handle(parsed, this.#host.tx),
      (outcome) => {
        if (outcome === undefined) return emit(message.framed);
        if (effectData(outcome) === undefined && !Array.isArray(outcome)) return this.#replace(outcome, message, emit);
        this.#host.work.replacement = undefined;
        const end = this.#host.fold(outcome, phase);
        const { replacement } = this.#host.work;
        this.#host.work.replacement = undefined;
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
      return this.#host.fault(
        "invalid_effect",
        `returned ${nameKind(outcome)}, must be a message, an effect or nothing`,
      );
    let bytes: Uint8Array;
    try {
      bytes = toBinary(schema, outcome as never);
    } catch {
      return this.#host.fault("invalid_effect", `returned what cannot be written as ${schema.typeName}`);
    }
    // An encoder writes U+FFFD for what UTF-8 does not have.
    const problem = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(REPLACEMENT)
      ? refuseTextsOf(outcome)
      : undefined;
    if (problem !== undefined)
      return this.#host.fault("invalid_effect", `returned a ${schema.typeName} whose ${problem}`);
    return this.#emitBytes(bytes, message, emit);
  }

  #emitBytes(bytes: Uint8Array, { compressed }: GrpcMessage, emit: Emit): Soon<StageEnd | undefined> {
    this.#host.changed();
    if (!compressed) return emit(this.#frame(bytes, 0));
    const room = new CoderBudget(this.#host.budget);
    const encoded = encodeBody(bytes, this.#options.call.codings, room);
    if (encoded instanceof Promise) this.#host.pending();
    return after(encoded, (body) =>
      body.kind === "failed" ? this.#host.codingFault(body, room) : emit(this.#frame(body.bytes, 1)),
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

/** Says which text of a message cannot be written as UTF-8; undefined if all can. */
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
