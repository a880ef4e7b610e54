import { quoteName } from "../protocol/header-rules.ts";
import type { AnyDefinition } from "./definition.ts";
import type { SchemaIssue, StandardSchema } from "./standard-schema.ts";
import { isThenable } from "./thenable.ts";

/** The gRPC initial metadata in which a route gives the configuration of a processor, as JSON text. */
export const CONFIG_METADATA = "x-ext-proc-config";

/** A configuration as a schema made it, or what is wrong with it. */
export type ConfigResult = { readonly value: unknown } | { readonly problem: string; readonly cause?: unknown };

/** Distinct texts that are remembered for a processor. Routes have a handful; more come from a template gone wrong. */
const MAX_REMEMBERED = 256;
const MAX_ISSUES = 3;

/**
 * The configurations of one processor, by their text: each distinct one is parsed and validated once. Where the processor
 * is composed, the text is an object with a configuration for each part, by its name.
 */
export class RouteConfigs {
  readonly #definitions: readonly AnyDefinition[];
  readonly #remembered = new Map<string, readonly ConfigResult[]>();
  #absent: readonly ConfigResult[] | undefined;

  constructor(definitions: readonly AnyDefinition[]) {
    this.#definitions = definitions;
  }

  /** What each part is configured with, in their order, where the metadata has these values. */
  read(texts: readonly string[]): readonly ConfigResult[] {
    const [text] = texts;
    if (text === undefined) {
      this.#absent ??= this.#validate(undefined);
      return this.#absent;
    }
    if (texts.length > 1) return this.#refuse(`${CONFIG_METADATA} came more than once`);
    const known = this.#remembered.get(text);
    if (known) return known;
    const results = this.#parse(text);
    const oldest = this.#remembered.keys().next();
    if (this.#remembered.size >= MAX_REMEMBERED && !oldest.done) this.#remembered.delete(oldest.value);
    this.#remembered.set(text, results);
    return results;
  }

  #parse(text: string): readonly ConfigResult[] {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      // The parser's own words quote the text.
      return this.#refuse(`${CONFIG_METADATA} is no JSON`);
    }
    if (this.#definitions.length === 1) return this.#validate([value]);
    if (typeof value !== "object" || value === null || Array.isArray(value))
      return this.#refuse(`${CONFIG_METADATA} must be an object with a configuration for each processor, by its name`);
    const stranger = Object.keys(value).find(
      (key) => !this.#definitions.some(({ name, config }) => name === key && config !== undefined),
    );
    if (stranger !== undefined)
      return this.#refuse(`${CONFIG_METADATA} has ${quoteName(stranger)}, which names no processor with a config`);
    const byName = new Map<string, unknown>(Object.entries(value));
    return this.#validate(this.#definitions.map(({ name }) => byName.get(name)));
  }

  #validate(values: readonly unknown[] | undefined): readonly ConfigResult[] {
    return this.#definitions.map(({ config, name }, index) => {
      if (config === undefined) return { value: undefined };
      const result = validateConfig(config, values?.[index]);
      return "problem" in result
        ? { ...result, problem: `${CONFIG_METADATA} for "${name}": ${result.problem}` }
        : result;
    });
  }

  #refuse(problem: string): readonly ConfigResult[] {
    return this.#definitions.map(() => ({ problem }));
  }
}

const CONFIGS = new WeakMap<readonly AnyDefinition[], RouteConfigs>();

/** The configurations of a processor made of these; undefined where none of them has a schema. */
export function configsOf(definitions: readonly AnyDefinition[]): RouteConfigs | undefined {
  const known = CONFIGS.get(definitions);
  if (known) return known;
  if (definitions.every(({ config }) => config === undefined)) return undefined;
  const made = new RouteConfigs(definitions);
  CONFIGS.set(definitions, made);
  return made;
}

/** What a schema says of a value. It never throws. */
export function validateConfig(schema: StandardSchema, value: unknown): ConfigResult {
  try {
    const result = schema["~standard"].validate(value);
    if (isThenable(result)) {
      // Nobody waits for it, and its rejection must not end the process.
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
  const told = issues.slice(0, MAX_ISSUES).map(({ message, path = [] }) => {
    const keys = path.map((step) => String(typeof step === "object" ? step.key : step));
    return keys.length === 0 ? message : `${keys.join(".")}: ${message}`;
  });
  const more = issues.length - told.length;
  return more > 0 ? `${told.join("; ")}; and ${more} more` : told.join("; ");
}
