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

/** A parsed YAML text with the place of each value. */
export interface YamlSource {
  readonly value: unknown;
  /** The value at a path; undefined if there is none. */
  at(path: readonly PropertyKey[]): unknown;
  /**
   * The place of the key or the value at a path, as `FILE:LINE:COLUMN`. If there is none, the place of the nearest map
   * around it.
   */
  place(path: readonly PropertyKey[], of: "key" | "value"): string;
}

/** Most nodes that all aliases together can expand to. Without this limit a few lines can expand to billions. */
const MAX_ALIASED_NODES = 100;
/**
 * Deepest nesting. No configuration needs more. The parser recurses, and a few thousand levels would crash the process.
 */
const MAX_DEPTH = 32;

/**
 * Most anchors and aliases. No configuration needs more. The parser searches the whole text for the anchor of each
 * alias.
 */
const MAX_ANCHORS = 100;
/**
 * Most entries of maps and lists. No configuration needs more. The parser compares each name with every other name of
 * its map.
 */
const MAX_ENTRIES = 2_000;
/** Most problems that are listed. More problems usually have one common cause. */
const MAX_PROBLEMS = 20;

/**
 * Allows plain values only, also with `%YAML 1.1`. A set, an ordered map or a date would be an object without settings.
 */
const OPTIONS = { schema: "core", resolveKnownTags: false, prettyErrors: false, logLevel: "silent" } as const;

/** Parses one YAML 1.2 document. Each problem is one line that begins with its place. */
export function parseYaml(text: string, name: string): YamlSource | { readonly problems: readonly string[] } {
  const lines = new LineCounter();
  const placeAt = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };
  try {
    const excess = excessOf(text);
    if (excess !== undefined) return { problems: [`${name}:1:1: ${excess}`] };
    const documents = parseAllDocuments(text, { ...OPTIONS, lineCounter: lines });
    const [document, second] = Array.isArray(documents) ? documents : [];
    if (document === undefined) return sourceOf(undefined, null, () => `${name}:1:1`);
    const failures = documents.flatMap(({ errors, warnings }) => [...errors, ...warnings]);
    const problems = failures.map(({ pos, message }) => `${placeAt(pos[0])}: ${oneLine(message)}`);
    if (second !== undefined) problems.push(`${placeAt(second.range[0])}: expected one document, got several`);
    for (const alias of document.errors.length === 0 ? strayAliases(document) : [])
      problems.push(
        `${placeAt(alias.range?.[0] ?? 0)}: there is no anchor &${alias.source} before the alias *${alias.source}`,
      );
    if (problems.length > 0) return { problems: firstProblems(problems, name) };
    return sourceOf(document, document.toJS({ maxAliasCount: MAX_ALIASED_NODES }), placeAt);
  } catch (error) {
    // The parser throws if there are too many aliases.
    return { problems: [`${name}:1:1: ${oneLine(error instanceof Error ? error.message : String(error))}`] };
  }
}

/**
 * Finds a reason not to parse a text, because that would take too much time or memory. Its own work is linear in the
 * text.
 */
function excessOf(text: string): string | undefined {
  let brackets = 0;
  // Marks of lists and keys, of which several can follow each other in one line.
  let marks = 0;
  let anchors = 0;
  let entries = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === "[" || token === "{") brackets++;
    else if (token === "]" || token === "}") brackets--;
    else if (token === "-" || token === "?") marks++;
    else if (token.startsWith("\n") || token.startsWith("\r")) marks = 0;
    if (/^[&*]./s.test(token)) anchors++;
    if (/^[-:,?]$/.test(token)) entries++;
    if (brackets > MAX_DEPTH || marks > MAX_DEPTH) return `is nested more than ${MAX_DEPTH} deep`;
    if (anchors > MAX_ANCHORS) return `has more than ${MAX_ANCHORS} anchors and aliases`;
    if (entries > MAX_ENTRIES) return `has more than ${MAX_ENTRIES} entries`;
  }
  return undefined;
}

/** The first problems of a text, and a line with the number of the others. */
export function firstProblems(problems: readonly string[], name: string): readonly string[] {
  if (problems.length <= MAX_PROBLEMS) return problems;
  return [...problems.slice(0, MAX_PROBLEMS), `${name}: and ${problems.length - MAX_PROBLEMS} more`];
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
