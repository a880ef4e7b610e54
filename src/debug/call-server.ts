import { type DescMessage, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";
import {
  ExternalProcessor,
  type ProcessingRequest,
  ProcessingRequestSchema,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { configuredBodyMode } from "../protocol/body-mode.ts";
import { directionOf, isBodyPhase, type Phase } from "../protocol/phase.ts";
import { RequestQueue } from "../simulation/request-queue.ts";
import { failureText } from "../text/failure-text.ts";
import type { Problem } from "../text/problem.ts";
import { messageOfJson } from "./json-problem.ts";
import { readableJson, readableMessage } from "./readable-message.ts";

/** Most answers that are read, because a server that never stops would fill the memory. */
const MAX_ANSWERS = 10_000;

/** Options of a call. */
export interface CallOptions {
  /** Timeout for each answer, in milliseconds. */
  readonly timeoutMs: number;
  /** True: each message waits for the answer to the message before it. False: all messages are sent at once. */
  readonly waits: boolean;
  /** Metadata of the call. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Thrown if a call fails. The message is one line. */
export class CallError extends Error {}

/** Parses the messages of a file: a list of ProcessingRequests in JSON, or an object with `requests`. */
export function parseMessages(json: unknown): ProcessingRequest[] | Problem {
  return parseList(ProcessingRequestSchema, "requests", json);
}

/** The answers of a file, to compare them with received answers: a list, or an object with `responses`. */
export function parseAnswers(json: unknown): JsonValue[] | Problem {
  const answers = parseList(ProcessingResponseSchema, "responses", json);
  return "problem" in answers
    ? answers
    : answers.map((answer) => readableJson(toJson(ProcessingResponseSchema, answer)));
}

/** The messages of a list, which is the value itself or its property of this name. A problem has the path to it. */
function parseList<D extends DescMessage>(schema: D, name: string, json: unknown): MessageShape<D>[] | Problem {
  const isList = Array.isArray(json);
  const list = isList ? json : (json as Readonly<Record<string, unknown>> | null)?.[name];
  if (!Array.isArray(list)) return { problem: `expected a list of ${schema.name}s, or {"${name}": […]}` };
  const messages: MessageShape<D>[] = [];
  for (const [index, item] of list.entries()) {
    const message = messageOfJson(schema, item);
    if ("problem" in message) return { problem: inList(`${isList ? "" : name}[${index}]`, String(message.problem)) };
    messages.push(message);
  }
  return messages;
}

/** Adds the path of the item to a problem, which may begin with a path in the item. */
function inList(place: string, problem: string): string {
  return `${place}${/^[\w.[\]]+:/.test(problem) ? "." : ": "}${problem}`;
}

/** An answer as JSON, in two forms: exact and readable. */
export interface ServerAnswer {
  readonly exact: JsonValue;
  readonly readable: JsonValue;
}

/**
 * Sends messages to an ext_proc server, each after the answer to the message before it, and yields its answers when
 * they come.
 *
 * @throws {CallError} If the server cannot be reached, does not answer in time, or ends with an error.
 */
export async function* callServer(
  baseUrl: string,
  messages: readonly ProcessingRequest[],
  options: CallOptions,
): AsyncGenerator<ServerAnswer> {
  const [{ Code, ConnectError, createClient }, { createGrpcTransport, Http2SessionManager }] = await Promise.all([
    import("@connectrpc/connect"),
    import("@connectrpc/connect-node"),
  ]);
  const sessionManager = new Http2SessionManager(baseUrl);
  const abort = new AbortController();
  const queue = new RequestQueue();
  const plan = new SendPlan(messages, options.waits);
  let timer: NodeJS.Timeout | undefined;
  let isLate = false;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      isLate = true;
      abort.abort();
    }, options.timeoutMs);
  };
  const send = () => {
    plan.next().forEach((message) => {
      queue.push(message);
    });
    if (plan.isSent) queue.end();
    wait();
  };
  try {
    const client = createClient(ExternalProcessor, createGrpcTransport({ baseUrl, sessionManager }));
    send();
    let count = 0;
    for await (const answer of client.process(queue, { signal: abort.signal, headers: { ...options.headers } })) {
      if (++count > MAX_ANSWERS) throw new CallError(`the server sent more than ${MAX_ANSWERS} answers`);
      yield { exact: exactJson(answer), readable: readableMessage(answer) };
      plan.answered();
      send();
    }
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    // A server that has answered all messages does not have to end the stream.
    if (isLate && plan.isDone) return;
    if (isLate) throw new CallError(`no answer to ${plan.awaited} within ${options.timeoutMs} ms`);
    if (sessionManager.state() === "error") throw new CallError(`cannot be reached: ${reasonOf(error)}`);
    const name = Code[error.code].replaceAll(/(?<=[a-z])[A-Z]/g, "_$&").toUpperCase();
    throw new CallError(`the server ended the stream with ${name}: ${error.rawMessage}`);
  } finally {
    clearTimeout(timer);
    abort.abort();
    sessionManager.abort();
  }
}

function exactJson(answer: Parameters<typeof readableMessage>[0]): JsonValue {
  try {
    return toJson(ProcessingResponseSchema, answer as never);
  } catch {
    // The answer has typed metadata of unknown types.
    return readableMessage(answer);
  }
}

function reasonOf(error: Error): string {
  // If both addresses of localhost refused the connection, the first of these errors has the message.
  return failureText(error.cause ?? error);
}

/** Decides which messages can be sent. */
class SendPlan {
  readonly #messages: readonly ProcessingRequest[];
  readonly #waits: boolean;
  #sent = 0;
  #unanswered = 0;
  #awaited = "";

  constructor(messages: readonly ProcessingRequest[], waits: boolean) {
    this.#messages = messages;
    this.#waits = waits;
  }

  /** True if every message has been sent. */
  get isSent(): boolean {
    return this.#sent === this.#messages.length;
  }

  get isDone(): boolean {
    return this.isSent && this.#unanswered <= 0;
  }

  /** The message whose answer is awaited. */
  get awaited(): string {
    return this.#awaited;
  }

  answered(): void {
    this.#unanswered--;
  }

  /** The messages that can be sent now. */
  next(): readonly ProcessingRequest[] {
    const from = this.#sent;
    while (!this.isSent && (!this.#waits || this.#unanswered <= 0)) this.#take();
    return this.#messages.slice(from, this.#sent);
  }

  #take(): void {
    const message = this.#messages[this.#sent];
    const phase = message?.request.case;
    if (message && phase !== undefined && !message.observabilityMode && !this.#isDuplex(phase)) {
      this.#unanswered++;
      this.#awaited = `message ${this.#sent + 1} (${phase})`;
    }
    this.#sent++;
  }

  /** True in FULL_DUPLEX_STREAMED, in which a server can answer at any time. */
  #isDuplex(phase: Phase): boolean {
    const mode = configuredBodyMode(this.#messages[0]?.protocolConfig, directionOf(phase));
    return mode === "FULL_DUPLEX_STREAMED" && (isBodyPhase(phase) || phase.endsWith("Headers"));
  }
}
