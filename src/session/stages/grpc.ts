import { type DescMessage, type DescMethod, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Coding, parseContentEncoding } from "../../bodies/coding/content-encoding.ts";
import { decodeBody, encodeBody } from "../../bodies/coding/whole-body.ts";
import { parsedMessageBytes } from "../../bodies/json/parsed-memory.ts";
import { joinBytes, plainBytes } from "../../bodies/owned-bytes.ts";
import { CoderBudget, type FullBudget, HeldRoom } from "../../memory/held-room.ts";
import type { AnyGrpcHandlers } from "../../processor/body-claims.ts";
import { DEFAULT_MAX_BYTES } from "../../processor/body-handler.ts";
import { effectData } from "../../processor/effect.ts";
import type { MessageExchange } from "../../protocol/exchange/exchange.ts";
import { GRPC_PREFIX_BYTES, lengthInPrefix, withPrefix } from "../../protocol/grpc-framing.ts";
import { header, headerFields, isGrpc } from "../../protocol/headers/headers.ts";
import { type BodyPhase, directionOf } from "../../protocol/phase.ts";
import { refuseTextsOf } from "../../text/escaped-text.ts";
import { nameKind } from "../../text/value-kind.ts";
import { utf8Bytes } from "../../wire/header-text.ts";
import type { HandlerCall } from "./handler-call.ts";
import {
  after,
  type BodyBytes,
  type BodyStage,
  changedTo,
  endedBy,
  NOTHING,
  type Soon,
  type StageEnd,
  type Step,
  unchanged,
} from "./step.ts";

/** Handles the gRPC messages of one direction of a call. */
export interface GrpcCall {
  /** The type of the messages. */
  readonly schema: DescMessage;
  handle(message: unknown, tx: unknown): unknown;
  /** The codings of a message that is marked as compressed. */
  readonly codings: readonly Coding[];
}

/**
 * Returns the handler for the messages of a direction; undefined if the request does not call a method that has a
 * handler.
 */
export function grpcCall(handlers: AnyGrpcHandlers, exchange: MessageExchange, phase: BodyPhase): GrpcCall | undefined {
  const direction = directionOf(phase);
  const request = exchange.headers("request");
  const headers = exchange.headers(direction);
  if (request === undefined || headers === undefined || !isGrpc(headerFields(headers))) return undefined;
  const path = header(request, ":path") ?? "";
  const { service, methods } = handlers;
  const found = Object.entries(service.method).find(([, { name }]) => path === `/${service.typeName}/${name}`);
  if (found === undefined) return undefined;
  const [localName, method]: readonly [string, DescMethod] = found;
  const own = Object.hasOwn(methods, localName) ? methods[localName] : undefined;
  const handle = own?.[direction] as GrpcCall["handle"] | undefined;
  if (handle === undefined) return undefined;
  const encoding = parseContentEncoding(header(headers, "grpc-encoding"));
  return {
    schema: direction === "request" ? method.input : method.output,
    handle: (message, tx) => handle.call(own, message, tx),
    codings: encoding.kind === "codings" ? encoding.codings : [],
  };
}

/** The options of a {@link GrpcStage}. */
export interface GrpcStageOptions {
  readonly grpc: GrpcCall;
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
  readonly #call: HandlerCall;
  readonly #grpc: GrpcCall;
  readonly #unframed: boolean;
  readonly #maxBytes: number;
  readonly #room: HeldRoom;
  #held: BodyBytes[] = [];
  #heldBytes = 0;
  /** The bytes that are counted for the current message. */
  #messageBytes = 0;
  #turnMessages = 0;
  /** A message stays counted until its output has passed on. Then the next message follows. */
  readonly #more = () => this.#next();

  constructor(call: HandlerCall, { grpc, unframed, maxBytes = DEFAULT_MAX_BYTES }: GrpcStageOptions) {
    this.#call = call;
    this.#grpc = grpc;
    this.#unframed = unframed;
    this.#maxBytes = maxBytes;
    this.#room = new HeldRoom(call.body.budget);
  }

  get withholds(): boolean {
    return this.#heldBytes > 0;
  }

  push(piece: BodyBytes): Soon<Step> {
    if (piece.length === 0 && !this.#unframed) return NOTHING;
    const cap = this.#room.take(piece.length);
    if (cap !== undefined) return endedBy(this.#call.faults.overLimit(cap));
    this.#turnMessages = 0;
    if (this.#unframed)
      return this.#handle({ bytes: piece, compressed: this.#call.body.messageCompressed, framed: piece });
    this.#held.push(piece);
    this.#heldBytes += piece.length;
    return this.#next();
  }

  end(complete: boolean): Step {
    if (this.#heldBytes === 0) return NOTHING;
    if (complete) return endedBy(this.#malformed("the body ends inside a gRPC message"));
    const beginning = this.#join();
    this.#held = [];
    this.#heldBytes = 0;
    this.#room.give();
    return unchanged(beginning);
  }

  close(): void {
    this.#held = [];
    this.#heldBytes = 0;
    this.#room.close();
    this.#call.close();
  }

  /** Handles the next message of the bytes that have arrived, if it is complete. */
  #next(): Soon<Step> {
    this.#room.give(this.#messageBytes);
    this.#messageBytes = 0;
    if (this.#turnMessages === TURN_MESSAGES) {
      this.#turnMessages = 0;
      return new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#next());
    }
    this.#turnMessages++;
    const message = this.#takeMessage();
    if (message === undefined) return NOTHING;
    return "kind" in message ? endedBy(message) : this.#handle(message);
  }

  #takeMessage(): GrpcMessage | StageEnd | undefined {
    if (this.#heldBytes < GRPC_PREFIX_BYTES) return undefined;
    let all = this.#held[0] as BodyBytes;
    if (all.length < GRPC_PREFIX_BYTES) all = this.#join();
    const flag = all[0] ?? 0;
    const length = lengthInPrefix(all, 0);
    if (flag > 1) return this.#malformed("a gRPC message has an unknown flag");
    if (length > this.#maxBytes) return this.#call.faults.overLimit("body", this.#maxBytes);
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

  #handle(message: GrpcMessage): Soon<Step> {
    this.#messageBytes = message.framed.length;
    return message.compressed ? this.#handleCoded(message) : this.#handlePlain(message.bytes, message);
  }

  #handleCoded(message: GrpcMessage): Soon<Step> {
    const { body: current, faults } = this.#call;
    const { codings } = this.#grpc;
    if (codings.length === 0)
      return endedBy(
        faults.fault("unknown_coding", "a gRPC message is compressed, and its grpc-encoding cannot be decoded"),
      );
    const room = new CoderBudget(current.budget);
    let full: FullBudget | undefined;
    const hold = (count: number) => {
      // The output is no longer needed.
      if (current.isClosed) return false;
      full = this.#room.take(count);
      if (full === undefined) this.#messageBytes += count;
      return full === undefined;
    };
    const decoded = decodeBody(message.bytes, codings, { maxBytes: this.#maxBytes, hold, room });
    if (decoded instanceof Promise) this.#room.useUntil(decoded);
    return after(decoded, (body) => {
      if (current.isClosed) return NOTHING;
      if (body.kind === "bytes") return this.#handlePlain(body.bytes, message);
      return endedBy(full === undefined ? faults.codingFault(body, room) : faults.overLimit(full));
    });
  }

  #handlePlain(bytes: BodyBytes, message: GrpcMessage): Soon<Step> {
    const { handle, schema } = this.#grpc;
    let parsed: unknown;
    try {
      parsed = fromBinary(schema, bytes);
    } catch (cause) {
      return endedBy(this.#malformed(`a message is not a valid ${schema.typeName}`, cause));
    }
    const full = this.#call.lend(() => parsedMessageBytes(parsed));
    if (full !== undefined) return endedBy(this.#call.faults.overLimit(full));
    return this.#call.run(
      () => handle(parsed, this.#call.tx),
      (returned) => this.#returned(returned, message),
      this.#room,
    );
  }

  #returned(returned: unknown, message: GrpcMessage): Soon<Step> {
    if (returned === undefined) return unchanged(message.framed, this.#more);
    if (effectData(returned) === undefined && !Array.isArray(returned)) return this.#replaceBy(returned, message);
    const effects = this.#call.fold(returned, this.#call.body.phase);
    if (effects.kind !== "body") return endedBy(effects);
    const { replacement } = effects;
    if (replacement === undefined) return unchanged(message.framed, this.#more);
    return this.#replace(typeof replacement === "string" ? utf8Bytes(replacement) : replacement, message);
  }

  #replaceBy(returned: unknown, message: GrpcMessage): Soon<Step> {
    const { schema } = this.#grpc;
    if (typeof returned !== "object" || returned === null)
      return this.#invalid(`${nameKind(returned)}, must be a message, an effect or nothing`);
    let bytes: Uint8Array;
    try {
      bytes = toBinary(schema, returned as never);
    } catch {
      return this.#invalid(`a value that cannot be written as ${schema.typeName}`);
    }
    // The encoder writes U+FFFD for text that is not valid Unicode.
    const mayBeWrong = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(REPLACEMENT);
    const problem = mayBeWrong ? refuseTextsOf(returned) : undefined;
    return problem === undefined
      ? this.#replace(bytes, message)
      : this.#invalid(`a ${schema.typeName} whose ${problem}`);
  }

  #replace(bytes: Uint8Array, { compressed }: GrpcMessage): Soon<Step> {
    if (!compressed) return changedTo([this.#frame(bytes, 0)], this.#more);
    const room = new CoderBudget(this.#call.body.budget);
    return after(encodeBody(bytes, this.#grpc.codings, room), (body) =>
      body.kind === "failed"
        ? endedBy(this.#call.faults.codingFault(body, room))
        : changedTo([this.#frame(body.bytes, 1)], this.#more),
    );
  }

  #frame(bytes: Uint8Array, flag: number): BodyBytes {
    return this.#unframed ? plainBytes(bytes) : withPrefix(flag, bytes);
  }

  #malformed(problem: string, cause?: unknown): StageEnd {
    return this.#call.faults.fault("grpc_message_malformed", problem, cause);
  }

  #invalid(returned: string): Step {
    return endedBy(this.#call.faults.fault("invalid_effect", `returned ${returned}`));
  }
}
