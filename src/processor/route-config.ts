import { quoteName } from "../protocol/headers/header-rules.ts";
import type { AnyDefinition } from "./definition.ts";
import { type ConfigResult, validateConfig } from "./standard-schema.ts";

/** The gRPC initial metadata in which a route gives the configuration of a processor, as JSON text. */
export const CONFIG_METADATA = "x-ext-proc-config";

/** Distinct texts that are remembered for a processor. Routes have a handful; more come from a template gone wrong. */
const MAX_REMEMBERED = 256;
/** Characters of all of them: who reaches the port can send long texts that differ each time. */
const MAX_REMEMBERED_CHARACTERS = 1 << 20;

/**
 * The configurations of one processor, by their text: each distinct text is parsed and validated once.
 *
 * The text is keyed, an object with a configuration for each part by its name, or plain, the configuration itself. Keyed is
 * always accepted, plain only while exactly one part has a schema. Which of the two a text is depends on its keys alone: an
 * object with a key that names a part is keyed, and then each key must name a part with a schema.
 */
export class RouteConfigs {
  readonly #definitions: readonly AnyDefinition[];
  readonly #remembered = new Map<string, readonly ConfigResult[]>();
  #rememberedCharacters = 0;
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
    if (text.length > MAX_REMEMBERED_CHARACTERS / 4) return results;
    this.#remembered.set(text, results);
    this.#rememberedCharacters += text.length;
    for (const oldest of this.#remembered.keys()) {
      if (this.#remembered.size <= MAX_REMEMBERED && this.#rememberedCharacters <= MAX_REMEMBERED_CHARACTERS) break;
      this.#remembered.delete(oldest);
      this.#rememberedCharacters -= oldest.length;
    }
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
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    const byName = new Map<string, unknown>(isObject ? Object.entries(value as object) : []);
    const configured = this.#definitions.filter(({ config }) => config !== undefined).map(({ name }) => name);
    const named = this.#definitions.find(({ name }) => byName.has(name))?.name;
    if (configured.length === 1 && named === undefined) return this.#validate(this.#definitions.map(() => value));
    const stranger = [...byName.keys()].find((key) => !configured.includes(key));
    if (!isObject || stranger !== undefined) return this.#refuse(keyProblem(configured, named, stranger));
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

/** What is wrong with a text that has to be keyed by the names of processors. */
function keyProblem(configured: readonly string[], named: string | undefined, stranger: string | undefined): string {
  const keyed = `{${configured.map((name) => `${JSON.stringify(name)}: …`).join(", ")}}`;
  if (stranger === undefined)
    return `${CONFIG_METADATA} must be an object with a configuration for each processor, by its name: ${keyed}`;
  const problem = `${CONFIG_METADATA} has ${quoteName(stranger)}, which names no processor with a config`;
  if (named === undefined || named === stranger) return `${problem}; write ${keyed}`;
  return `${problem}, beside ${quoteName(named)}, which names a processor; write ${keyed}, also if ${quoteName(named)} is a property of the configuration`;
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
