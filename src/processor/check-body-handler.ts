import { DIRECTIONS } from "../protocol/phase.ts";

/** The properties that every body handler may have, and the check of each. */
const OPTIONS: Readonly<Record<string, (value: unknown) => string | undefined>> = {
  when: (value) => (typeof value === "function" ? undefined : "must be a function"),
  maxBytes: (value) =>
    Number.isSafeInteger(value) && (value as number) >= 0 ? undefined : "must be a whole number of bytes, 0 or more",
  overLimit: (value) => (value === "reject" || value === "pass" ? undefined : 'must be "reject" or "pass"'),
  encoding: (value) => (value === "decoded" || value === "raw" ? undefined : 'must be "decoded" or "raw"'),
  required: (value) => (typeof value === "boolean" ? undefined : "must be true or false"),
};

/** The properties that handlers of one kind may have besides. */
const OPTIONS_OF: Readonly<Record<string, typeof OPTIONS>> = {
  inspect: { upgrades: (value) => (typeof value === "boolean" ? undefined : "must be true or false") },
};

/** The functions of each kind of handler, and which of them it must have. */
const FUNCTIONS: Readonly<Record<string, readonly { readonly name: string; readonly required: boolean }[]>> = {
  whole: [{ name: "handle", required: true }],
  text: [{ name: "handle", required: true }],
  json: [{ name: "handle", required: true }],
  stream: [{ name: "handle", required: true }],
  chunks: [
    { name: "chunk", required: true },
    { name: "end", required: false },
  ],
  inspect: [
    { name: "chunk", required: false },
    { name: "end", required: false },
  ],
};

/** Says what is wrong with a body handler; undefined where it is fine. */
export function refuseBodyHandler(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return 'must be an object such as { read: "whole", handle() {} }';
  const handler = value as Readonly<Record<string, unknown>>;
  const { read } = handler;
  const kinds = Object.keys(FUNCTIONS).map((kind) => `"${kind}"`);
  if (typeof read !== "string" || !Object.hasOwn(FUNCTIONS, read)) return `read must be one of ${kinds.join(", ")}`;
  const functions = FUNCTIONS[read] ?? [];
  const options = { ...OPTIONS, ...OPTIONS_OF[read] };
  for (const [property, given] of Object.entries(handler)) {
    if (property === "read" || given === undefined) continue;
    if (functions.some(({ name }) => name === property)) {
      if (typeof given !== "function") return `${property} must be a function`;
      continue;
    }
    const check = Object.hasOwn(options, property) ? options[property] : undefined;
    const known = ["read", ...functions.map(({ name }) => name), ...Object.keys(options)].join(", ");
    const problem = check ? check(given) : `is no property of a handler that reads "${read}", which has ${known}`;
    if (problem !== undefined) return `${property} ${problem}`;
  }
  const missing = functions.find(({ name, required }) => required && handler[name] === undefined);
  return missing && `a handler that reads "${read}" needs ${missing.name}()`;
}

/** Says what is wrong with the handlers of a gRPC service; undefined where they are fine. */
export function refuseGrpcHandlers(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return "must be an object such as { service, methods }";
  const { service, methods, maxBytes, required, ...others } = value as Readonly<Record<string, unknown>>;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return `${unknown} is no property; there are service, methods, maxBytes, required`;
  for (const [property, given] of Object.entries({ maxBytes, required })) {
    const problem = given === undefined ? undefined : OPTIONS[property]?.(given);
    if (problem !== undefined) return `${property} ${problem}`;
  }
  if (!isService(service)) return "service must be a service as protobuf-es generates it";
  if (typeof methods !== "object" || methods === null) return "methods must be an object";
  for (const [name, handlers] of Object.entries(methods as Readonly<Record<string, unknown>>)) {
    const problem = Object.hasOwn(service.method, name)
      ? refuseMethodHandlers(handlers)
      : `is no method; there are ${Object.keys(service.method).join(", ")}`;
    if (problem !== undefined) return `methods.${name} ${problem}`;
  }
  return undefined;
}

/** Says which body handler is one too many beside `grpc`; undefined where there is none. */
export function refuseBeside(
  { methods }: { readonly methods: object },
  bodies: { readonly requestBody?: unknown; readonly responseBody?: unknown },
): string | undefined {
  const handlers: readonly object[] = Object.values(methods);
  for (const direction of DIRECTIONS) {
    if (bodies[`${direction}Body`] !== undefined && handlers.some((method) => direction in method))
      return `handles ${direction} messages, and ${direction}Body is there too: use one of them`;
  }
  return undefined;
}

function refuseMethodHandlers(handlers: unknown): string | undefined {
  if (typeof handlers !== "object" || handlers === null) return "must be an object such as { request() {} }";
  for (const [direction, handler] of Object.entries(handlers)) {
    if (direction !== "request" && direction !== "response") return `has no ${direction}, only request and response`;
    if (handler !== undefined && typeof handler !== "function") return `${direction} must be a function`;
  }
  return undefined;
}

function isService(value: unknown): value is { readonly method: object } {
  return (
    typeof value === "object" && value !== null && "kind" in value && value.kind === "service" && "method" in value
  );
}
