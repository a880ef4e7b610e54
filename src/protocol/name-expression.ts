/** A regular expression of Envoy's configuration for header names. */
export interface NameExpression {
  /** True if the expression matches the whole name. Takes time linear in the name, whatever the expression. */
  matches(name: string): boolean;
}

/** Longer programs are refused: an expression for header names needs a few dozen steps. */
const MAX_STEPS = 1_000;
/** RE2's own limit for the counts of `{n,m}`. */
const MAX_REPEAT = 1000;

/**
 * Compiles an expression in RE2's syntax, as Envoy reads it in `mutation_rules`. Node's own RegExp has another syntax and
 * can take exponential time, and a client can choose the name that is matched.
 *
 * @throws {SyntaxError} Says what RE2 would not accept, and at which index.
 */
export function nameExpression(pattern: string): NameExpression {
  const program: Step[] = [{ op: "match" }];
  const start = emit(new Parser(pattern).parse(), 0, program);
  return { matches: (name) => run(program, start, name) };
}

/** Says why Envoy would not accept an expression; undefined if it would. */
export function refuseNameExpression(pattern: unknown): string | undefined {
  if (typeof pattern !== "string" || pattern === "")
    return 'must be an RE2 expression that is not empty, such as "x-internal-.*"';
  try {
    nameExpression(pattern);
    return undefined;
  } catch (cause) {
    // The cause is a SyntaxError of this file, whose text is for the operator.
    return `${JSON.stringify(pattern)} is not an RE2 expression: ${(cause as SyntaxError).message}`;
  }
}

/** One bit for each ASCII character: header names are ASCII. */
type CharSet = readonly boolean[];
type Assertion = "begin" | "end" | "wordBoundary" | "noWordBoundary";

type Node =
  | { readonly kind: "set"; readonly set: CharSet }
  | { readonly kind: "assert"; readonly assertion: Assertion }
  | { readonly kind: "all" | "any"; readonly nodes: readonly Node[] }
  | { readonly kind: "repeat"; readonly node: Node; readonly least: number; readonly most: number };

type Step =
  | { readonly op: "match" }
  | { readonly op: "set"; readonly set: CharSet; readonly next: number }
  | { readonly op: "assert"; readonly assertion: Assertion; readonly next: number }
  | { op: "split"; to: readonly number[] };

const ASCII = 128;
const setOf = (has: (char: string) => boolean): CharSet =>
  Array.from({ length: ASCII }, (_, code) => has(String.fromCharCode(code)));
const matching = (pattern: RegExp): CharSet => setOf((char) => pattern.test(char));
const negated = (set: CharSet): CharSet => set.map((has) => !has);
const joined = (sets: readonly CharSet[]): CharSet =>
  Array.from({ length: ASCII }, (_, code) => sets.some((set) => set[code]));
const ANY = setOf(() => true);
const ANY_BUT_NEWLINE = setOf((char) => char !== "\n");
const WORD = /^[0-9A-Za-z_]$/;
const PERL: Readonly<Record<string, RegExp>> = { d: /[0-9]/, s: /[\t\n\f\r ]/, w: WORD };
const POSIX: Readonly<Record<string, RegExp>> = {
  alnum: /[0-9A-Za-z]/,
  alpha: /[A-Za-z]/,
  ascii: /[\s\S]/,
  blank: /[\t ]/,
  cntrl: /\p{Cc}/u,
  digit: /[0-9]/,
  graph: /[!-~]/,
  lower: /[a-z]/,
  print: /[ -~]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[\t\n\v\f\r ]/,
  upper: /[A-Z]/,
  word: WORD,
  xdigit: /[0-9A-Fa-f]/,
};
const ESCAPES: Readonly<Record<string, string>> = { a: "\x07", f: "\f", t: "\t", n: "\n", r: "\r", v: "\v" };
const ASSERTIONS: Readonly<Record<string, Assertion>> = {
  A: "begin",
  z: "end",
  b: "wordBoundary",
  B: "noWordBoundary",
};

/** The flags that count for a name: `m` and `U` change nothing in a match of the whole of one line. */
interface Flags {
  readonly i: boolean;
  readonly s: boolean;
}

class Parser {
  readonly #text: string;
  #at = 0;
  #flags: Flags = { i: false, s: false };

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Node {
    const node = this.#alternatives();
    if (this.#at < this.#text.length) this.#fail('")" without "("');
    return node;
  }

  #fail(problem: string, at = this.#at): never {
    throw new SyntaxError(`${problem} at index ${at}`);
  }

  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  /** Takes what a sticky pattern matches here. */
  #takeMatch(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at += match[0].length;
    return match;
  }

  #next(): string {
    const char = String.fromCodePoint(this.#text.codePointAt(this.#at) ?? 0);
    this.#at += char.length;
    return char;
  }

  /** What the flags inside a group change holds to the group's end. */
  #alternatives(): Node {
    const outer = this.#flags;
    const nodes = [this.#sequence()];
    while (this.#take("|")) nodes.push(this.#sequence());
    this.#flags = outer;
    return nodes.length === 1 ? (nodes[0] as Node) : { kind: "any", nodes };
  }

  #sequence(): Node {
    const nodes: Node[] = [];
    while (this.#at < this.#text.length && !/[|)]/.test(this.#text[this.#at] ?? "")) {
      const start = this.#at;
      const node = this.#atom();
      if (node === undefined) continue;
      nodes.push(this.#repeated(node, start));
    }
    return { kind: "all", nodes };
  }

  #repeated(node: Node, start: number): Node {
    const range = this.#repetition();
    if (range === undefined) return node;
    this.#take("?");
    const again = this.#at;
    if (this.#repetition() !== undefined) this.#fail("a repetition of a repetition", again);
    const [least, most] = range;
    if (Math.max(least, most === Number.POSITIVE_INFINITY ? 0 : most) > MAX_REPEAT || least > most)
      this.#fail(`a repetition that RE2 does not accept (0 to ${MAX_REPEAT})`, start);
    return { kind: "repeat", node, least, most };
  }

  #repetition(): readonly [least: number, most: number] | undefined {
    if (this.#take("*")) return [0, Number.POSITIVE_INFINITY];
    if (this.#take("+")) return [1, Number.POSITIVE_INFINITY];
    if (this.#take("?")) return [0, 1];
    const [, least, comma, most] = this.#takeMatch(/\{(\d+)(,?)(\d*)\}/y) ?? [];
    if (least === undefined) return undefined;
    if (comma === "") return [Number(`${least}${most}`), Number(`${least}${most}`)];
    return [Number(least), most === "" ? Number.POSITIVE_INFINITY : Number(most)];
  }

  /** Undefined for what sets flags and matches nothing. */
  #atom(): Node | undefined {
    const start = this.#at;
    if (this.#repetition() !== undefined) this.#fail("a repetition of nothing", start);
    if (this.#take("(")) return this.#group(start);
    if (this.#take("[")) return { kind: "set", set: this.#class(start) };
    if (this.#take(".")) return { kind: "set", set: this.#flags.s ? ANY : ANY_BUT_NEWLINE };
    if (this.#take("^")) return { kind: "assert", assertion: "begin" };
    if (this.#take("$")) return { kind: "assert", assertion: "end" };
    if (this.#take("\\Q")) return this.#quoted();
    if (this.#text[this.#at] !== "\\") return this.#literal(this.#next());
    const assertion = ASSERTIONS[this.#text[this.#at + 1] ?? ""];
    if (assertion === undefined) return { kind: "set", set: this.#escape() };
    this.#at += 2;
    return { kind: "assert", assertion };
  }

  #literal(char: string): Node {
    return { kind: "set", set: this.#folded(setOf((other) => other === char)) };
  }

  #quoted(): Node {
    const end = this.#text.indexOf("\\E", this.#at);
    const text = this.#text.slice(this.#at, end < 0 ? undefined : end);
    this.#at += text.length + (end < 0 ? 0 : 2);
    return { kind: "all", nodes: [...text].map((char) => this.#literal(char)) };
  }

  #group(start: number): Node | undefined {
    if (this.#take("?") && this.#takeMatch(/P?<\w+>/y) === undefined) {
      const [, on = "", off = "", end] = this.#takeMatch(/([imsU]*)(?:-([imsU]+))?([:)])/y) ?? [];
      if (end === undefined) this.#fail("RE2 has no such group", start);
      const outer = this.#flags;
      const flag = (name: keyof Flags) => (outer[name] || on.includes(name)) && !off.includes(name);
      this.#flags = { i: flag("i"), s: flag("s") };
      if (end === ")") return undefined;
      const node = this.#closed(start);
      this.#flags = outer;
      return node;
    }
    return this.#closed(start);
  }

  #closed(start: number): Node {
    const node = this.#alternatives();
    if (!this.#take(")")) this.#fail('"(" without ")"', start);
    return node;
  }

  #class(start: number): CharSet {
    const isNegated = this.#take("^");
    const sets: CharSet[] = [];
    while (sets.length === 0 || !this.#take("]")) {
      if (this.#at >= this.#text.length) this.#fail('"[" without "]"', start);
      sets.push(this.#classItem());
    }
    const set = this.#folded(joined(sets));
    return isNegated ? negated(set) : set;
  }

  #classItem(): CharSet {
    const start = this.#at;
    const [, isNegated, name = ""] = this.#takeMatch(/\[:(\^?)(\w+):\]/y) ?? [];
    if (isNegated !== undefined) {
      const set = matching(POSIX[name] ?? this.#fail(`RE2 has no class [:${name}:]`, start));
      return isNegated === "^" ? negated(set) : set;
    }
    const first = this.#classChar();
    if (typeof first !== "number") return first;
    if (!/^-[^\]]/.test(this.#text.slice(this.#at, this.#at + 2))) return setOf((char) => char.charCodeAt(0) === first);
    this.#at++;
    const last = this.#classChar();
    if (typeof last !== "number" || last < first) return this.#fail("a range that is not one", start);
    return setOf((char) => char.charCodeAt(0) >= first && char.charCodeAt(0) <= last);
  }

  #classChar(): number | CharSet {
    if (this.#text[this.#at] !== "\\") return this.#next().codePointAt(0) ?? 0;
    return this.#escapedChar() ?? this.#escapedSet();
  }

  #escape(): CharSet {
    const code = this.#escapedChar();
    return code === undefined ? this.#escapedSet() : this.#folded(setOf((char) => char.charCodeAt(0) === code));
  }

  /** The code of an escaped character; undefined if the escape is not one character. */
  #escapedChar(): number | undefined {
    const [, braced, hex = braced] = this.#takeMatch(/\\x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))/y) ?? [];
    if (hex !== undefined) return Number.parseInt(hex, 16);
    const [, octal] = this.#takeMatch(/\\(0[0-7]{0,2}|[1-7][0-7]{1,2})/y) ?? [];
    if (octal !== undefined) return Number.parseInt(octal, 8);
    const [, named] = this.#takeMatch(/\\([aftnrv])/y) ?? [];
    if (named !== undefined) return ESCAPES[named]?.charCodeAt(0);
    return this.#takeMatch(/\\([!-/:-@[-`{-~])/y)?.[1]?.charCodeAt(0);
  }

  #escapedSet(): CharSet {
    const start = this.#at;
    const [, perl] = this.#takeMatch(/\\([dswDSW])/y) ?? [];
    if (perl !== undefined) {
      const set = matching(PERL[perl.toLowerCase()] as RegExp);
      return perl === perl.toLowerCase() ? set : negated(set);
    }
    const [, letter, isNegated, braced, name = braced] = this.#takeMatch(/\\([pP])(?:\{(\^?)(\w+)\}|([A-Z]))/y) ?? [];
    if (letter === undefined || name === undefined) return this.#fail("RE2 has no such escape", start);
    const set = matching(unicodeClass(name) ?? this.#fail(`RE2 has no class \\p{${name}}`, start));
    return (letter === "P") !== (isNegated === "^") ? negated(set) : set;
  }

  #folded(set: CharSet): CharSet {
    if (!this.#flags.i) return set;
    const has = (char: string) => set[char.charCodeAt(0)] === true;
    return setOf((char) => has(char.toLowerCase()) || has(char.toUpperCase()));
  }
}

function unicodeClass(name: string): RegExp | undefined {
  for (const written of [`General_Category=${name}`, `Script=${name}`, ...(name === "Any" ? ["Any"] : [])]) {
    try {
      return new RegExp(`\\p{${written}}`, "u");
    } catch {
      // The other one.
    }
  }
  return undefined;
}

/** Writes the steps of a node, which lead to `next`; returns the first of them. */
function emit(node: Node, next: number, program: Step[]): number {
  switch (node.kind) {
    case "set":
      return add({ op: "set", set: node.set, next }, program);
    case "assert":
      return add({ op: "assert", assertion: node.assertion, next }, program);
    case "all":
      return node.nodes.reduceRight((following, each) => emit(each, following, program), next);
    case "any":
      return add({ op: "split", to: node.nodes.map((each) => emit(each, next, program)) }, program);
    case "repeat":
      return emitRepeat(node, next, program);
  }
}

function emitRepeat({ node, least, most }: Extract<Node, { kind: "repeat" }>, next: number, program: Step[]): number {
  let first = next;
  if (most === Number.POSITIVE_INFINITY) {
    const loop: Step & { op: "split" } = { op: "split", to: [] };
    first = add(loop, program);
    loop.to = [emit(node, first, program), next];
  } else {
    for (let count = least; count < most; count++)
      first = add({ op: "split", to: [emit(node, first, program), next] }, program);
  }
  for (let count = 0; count < least; count++) first = emit(node, first, program);
  return first;
}

function add(step: Step, program: Step[]): number {
  if (program.length >= MAX_STEPS) throw new SyntaxError("the expression is too large");
  program.push(step);
  return program.length - 1;
}

/** All ways at once, so that none is taken twice. */
function run(program: readonly Step[], start: number, name: string): boolean {
  let current = reach(program, [start], name, 0);
  for (let at = 0; at < name.length && current.length > 0; at++) {
    const code = name.charCodeAt(at);
    const onward = current.flatMap((index) => {
      const step = program[index];
      return step?.op === "set" && step.set[code] === true ? [step.next] : [];
    });
    current = reach(program, onward, name, at + 1);
  }
  return current.some((index) => program[index]?.op === "match");
}

/** The steps that can be reached without taking a character. */
function reach(program: readonly Step[], from: readonly number[], name: string, at: number): number[] {
  const seen = new Set<number>();
  const waiting = [...from];
  for (let index = waiting.pop(); index !== undefined; index = waiting.pop()) {
    if (seen.has(index)) continue;
    seen.add(index);
    const step = program[index];
    if (step?.op === "split") waiting.push(...step.to);
    else if (step?.op === "assert" && holds(step.assertion, name, at)) waiting.push(step.next);
  }
  return [...seen];
}

function holds(assertion: Assertion, name: string, at: number): boolean {
  switch (assertion) {
    case "begin":
      return at === 0;
    case "end":
      return at === name.length;
    default: {
      const isBoundary = WORD.test(name[at - 1] ?? "") !== WORD.test(name[at] ?? "");
      return isBoundary === (assertion === "wordBoundary");
    }
  }
}
