import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  visit,
} from "yaml";

/** A YAML text that was read, and knows where each of its values stands. */
export interface YamlSource {
  readonly value: unknown;
  /** The value at a path; undefined where there is none. */
  at(path: readonly PropertyKey[]): unknown;
  /** `FILE:LINE:COLUMN` of the key or the value at a path, or of the nearest map around it. */
  place(path: readonly PropertyKey[], of: "key" | "value"): string;
}

/** Nodes that aliases may stand for in all: a few lines of them can otherwise make billions. */
const MAX_ALIASED_NODES = 100;
/** Nesting that no configuration needs; the reader recurses, and a few thousand end the process. */
const MAX_DEPTH = 32;

/** Plain values only, also behind a `%YAML 1.1`: a set, an ordered map or a date is an object without a setting in it. */
const OPTIONS = { schema: "core", resolveKnownTags: false, prettyErrors: false, logLevel: "silent" } as const;

/** Reads one YAML 1.2 document; a problem is a line that begins with its place. */
export function parseYaml(text: string, name: string): YamlSource | { readonly problems: readonly string[] } {
  const lines = new LineCounter();
  const placeAt = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };
  try {
    if (isTooDeep(text)) return { problems: [`${name}:1:1: is nested more than ${MAX_DEPTH} deep`] };
    const documents = parseAllDocuments(text, { ...OPTIONS, lineCounter: lines });
    const [document, second] = Array.isArray(documents) ? documents : [];
    if (document === undefined) return sourceOf(undefined, null, () => `${name}:1:1`);
    const failures = documents.flatMap(({ errors, warnings }) => [...errors, ...warnings]);
    const problems = failures.map(({ pos, message }) => `${placeAt(pos[0])}: ${oneLine(message)}`);
    if (second !== undefined) problems.push(`${placeAt(second.range[0])}: holds several documents, must hold one`);
    for (const alias of document.errors.length === 0 ? strayAliases(document) : [])
      problems.push(`${placeAt(alias.range?.[0] ?? 0)}: *${alias.source} refers to no &${alias.source} before it`);
    if (problems.length > 0) return { problems };
    return sourceOf(document, document.toJS({ maxAliasCount: MAX_ALIASED_NODES }), placeAt);
  } catch (error) {
    // Too many aliases.
    return { problems: [`${name}:1:1: ${oneLine(error instanceof Error ? error.message : String(error))}`] };
  }
}

/** Counts brackets, and the marks of lists and keys that may stand behind each other in one line. */
function isTooDeep(text: string): boolean {
  let brackets = 0;
  let marks = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === "[" || token === "{") brackets++;
    else if (token === "]" || token === "}") brackets--;
    else if (token === "-" || token === "?") marks++;
    else if (token.startsWith("\n") || token.startsWith("\r")) marks = 0;
    if (brackets > MAX_DEPTH || marks > MAX_DEPTH) return true;
  }
  return false;
}

function strayAliases(document: Document): Alias[] {
  const stray: Alias[] = [];
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) === undefined) stray.push(alias);
    },
  });
  return stray;
}

function sourceOf(
  document: Document.Parsed | undefined,
  value: unknown,
  placeAt: (offset: number) => string,
): YamlSource {
  return {
    value,
    at: (path) => path.reduce<unknown>((at, name) => (at as Record<PropertyKey, unknown> | null)?.[name], value),
    place: (path, of) => placeAt(offsetOf(document, path, of)),
  };
}

function offsetOf(document: Document.Parsed | undefined, path: readonly PropertyKey[], of: "key" | "value"): number {
  let node: Node | null | undefined = document?.contents;
  let offset = startOf(node) ?? 0;
  for (const [depth, name] of path.entries()) {
    const target: Node | null | undefined = isAlias(node) && document ? node.resolve(document) : node;
    const isLast = depth === path.length - 1;
    if (isMap(target)) {
      const pair = (target.items as Pair<unknown, Node | null>[]).find(({ key }) => keyText(key) === String(name));
      if (pair === undefined) return offset;
      offset = (of === "key" && isLast ? undefined : startOf(pair.value)) ?? startOf(pair.key as Node) ?? offset;
      node = pair.value;
    } else if (isSeq(target)) {
      node = target.items[Number(name)] as Node | undefined;
      offset = startOf(node) ?? offset;
    } else return offset;
  }
  return offset;
}

function keyText(key: unknown): string {
  return String(isScalar(key) ? key.value : key);
}

function startOf(node: Node | null | undefined): number | undefined {
  return node?.range?.[0];
}

function oneLine(message: string): string {
  return message.replaceAll(/\s+/g, " ").trim();
}
