import { quoteName } from "../protocol/headers/header-rules.ts";
import type { AnyDefinition } from "./definition.ts";
import { type ConfigResult, validateConfig } from "./standard-schema.ts";

/** The name of the gRPC initial metadata in which a route gives the configuration of a processor, as JSON text. */
export const CONFIG_METADATA = "x-ext-proc-config";

/** The maximum number of different texts in the cache. Routes have a few; more come from a faulty template. */
const MAX_REMEMBERED = 256;
/** The maximum number of characters in the cache: a client of the port can send long texts that differ each time. */
const MAX_REMEMBERED_CHARACTERS = 1 << 20;

/**
 * Reads the configurations of one processor. Each different text is parsed and validated once.
 *
 * The keyed form is an object with a configuration for each part, by its name. The plain form is the configuration
 * itself. The keyed form is always accepted, the plain form only while exactly one part has a schema. The keys of an
 * object decide its form: if a key names a part, the form is keyed, and then each key must name a part with a schema.
 */
export class RouteConfigs {
  readonly #definitions: readonly AnyDefinition[];
  readonly #remembered = new Map<string, readonly ConfigResult[]>();
  #rememberedCharacters = 0;
  #absent: readonly ConfigResult[] | undefined;

  constructor(definitions: readonly AnyDefinition[]) {
    this.#definitions = definitions;
  }

  /** Returns the configuration of each part, in order, for these values of the metadata. */
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
      // The parser's own message quotes the text.
      return this.#refuse(`${CONFIG_METADATA} is not JSON`);
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

/** Says what is wrong with a text that must have the keyed form. */
function keyProblem(configured: readonly string[], named: string | undefined, stranger: string | undefined): string {
  const keyed = `{${configured.map((name) => `${JSON.stringify(name)}: …`).join(", ")}}`;
  if (stranger === undefined)
    return `${CONFIG_METADATA} must be an object with a configuration for each processor, by its name: ${keyed}`;
  const problem = `${CONFIG_METADATA} has ${quoteName(stranger)}, which names no processor with a config`;
  if (named === undefined || named === stranger) return `${problem}; write ${keyed}`;
  return `${problem}, and ${quoteName(named)}, which names a processor; write ${keyed}, also if ${quoteName(named)} is a property of the configuration`;
}
