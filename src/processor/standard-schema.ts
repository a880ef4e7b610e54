import type { Problem } from "../text/problem.ts";
import { isThenable } from "../text/value-kind.ts";

/**
 * The part of the Standard Schema specification (version 1) that a processor's `config` needs. Schemas of zod, valibot,
 * arktype and others have it.
 *
 * @typeParam C Type of a valid value after validation.
 */
export interface StandardSchema<C = unknown> {
  /** What the specification requires (https://standardschema.dev). */
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<C> | Promise<SchemaResult<C>>;
    readonly types?: { readonly input: unknown; readonly output: C } | undefined;
  };
}

/** The result of a schema: the validated value, or what is wrong with it. */
export type SchemaResult<C> =
  | { readonly value: C; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One thing that is wrong with a value. */
export interface SchemaIssue {
  /** What is wrong. */
  readonly message: string;
  /** The place of the error. Default: the value itself. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A validated configuration, or what is wrong with it. */
export type ConfigResult = { readonly value: unknown } | (Problem & { readonly cause?: unknown });

const MAX_ISSUES = 3;

/** Validates a value with a schema. It never throws. */
export function validateConfig(schema: StandardSchema, value: unknown): ConfigResult {
  try {
    const result = schema["~standard"].validate(value);
    if (isThenable(result)) {
      // Nothing awaits this promise, and its rejection must not end the process.
      Promise.resolve(result).catch(() => undefined);
      const problem = "the schema validates asynchronously, and a transaction cannot wait for it";
      return { problem, cause: new TypeError(problem) };
    }
    return result.issues === undefined ? { value: result.value } : { problem: explain(result.issues) };
  } catch (cause) {
    return { problem: "the schema threw", cause };
  }
}

function explain(issues: readonly SchemaIssue[]): string {
  const shown = issues.slice(0, MAX_ISSUES).map(({ message, path = [] }) => {
    const keys = path.map((step) => String(typeof step === "object" ? step.key : step));
    return keys.length === 0 ? message : `${keys.join(".")}: ${message}`;
  });
  const more = issues.length - shown.length;
  return more > 0 ? `${shown.join("; ")}; and ${more} more` : shown.join("; ");
}
