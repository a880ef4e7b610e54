// The rule of how a function refuses a value: it returns a Problem (src/text/problem.ts), never a text instead of its value.
import { join, relative } from "node:path";
import { SyntaxKind } from "typescript/unstable/ast";
import { API, ModifierFlags, TypeFlags } from "typescript/unstable/sync";

/**
 * @typedef {import("typescript/unstable/ast").Node} Node
 * @typedef {import("typescript/unstable/ast").SourceFile} SourceFile
 * @typedef {import("typescript/unstable/sync").Checker} Checker
 * @typedef {import("typescript/unstable/sync").Type} Type
 */

/**
 * The parts of a node that are looked at.
 *
 * @typedef {Node & { readonly name?: Node, readonly type?: Node, readonly body?: Node, readonly modifierFlags?: number }} Declared
 */

/**
 * The functions whose text is one of the possible values, and not a refusal: the place and why.
 *
 * @type {Readonly<Record<string, string>>}
 */
const ALLOWED = {
  "src/text/failure-text.ts failureCode": "the code of an error is a text or a number",
  "src/bodies/split/replacer.ts Replacement": "a function of the author may return text or bytes",
  "src/session/stages/step.ts BodyStage.cut": '"pass" is what the handler chose for the rest, and not a refusal',
  "src/session/stages/handler-call.ts ByteLimit.take": "the same",
  "src/session/stages/coded.ts CodedStage.cut": "the same",
};

/**
 * Checks the return types of all functions that a file of src exports: of methods and getters of classes too, and of the
 * functions in types. A type is wrong if it has a text or a word together with something other than a Problem.
 *
 * @param {string} root The project's root. The files of its tsconfig.json are those of src.
 * @param {Readonly<Record<string, string>>} allowed
 * @returns {readonly string[]} A line for each breach.
 */
export function returnTypeProblems(root, allowed = ALLOWED) {
  const api = new API({ cwd: root });
  try {
    const [project] = api.updateSnapshot({ openProjects: [join(root, "tsconfig.json")] }).getProjects();
    if (project === undefined) return [`${root}: has no tsconfig.json`];
    const { checker, program } = project;
    const found = program
      .getSourceFileNames()
      .map((name) => ({ name, path: relative(root, name).replaceAll("\\", "/") }))
      .filter(({ path }) => path.startsWith("src/"))
      .flatMap(({ name, path }) => returnsOf(program.getSourceFile(name)).map((found) => ({ ...found, path })));
    const types = checker.getTypeAtLocation(found.map(({ type }) => type));
    const mixed = new MixedTypes(checker);
    const wrong = found.filter((_, index) => mixed.has(types[index]));
    const places = wrong.map(({ path, name }) => `${path} ${name}`);
    return [
      ...wrong
        .map(({ path, name, type }) => ({ place: `${path} ${name}`, text: type.getText() }))
        .filter(({ place }) => !Object.hasOwn(allowed, place))
        .map(
          ({ place, text }) =>
            `${place}: returns ${text}: refuse with { problem } (src/text/problem.ts), not with a text`,
        ),
      ...Object.keys(allowed)
        .filter((place) => !places.includes(place))
        .map((place) => `scripts/structure/return-types.mjs: allows ${place}, which needs no permission: remove it`),
    ];
  } finally {
    api.close();
  }
}

/**
 * The return types in what a file exports, each with the names of the declarations around it.
 *
 * @param {SourceFile | undefined} file
 */
function returnsOf(file) {
  /** @type {{ name: string, type: Node }[]} */
  const returns = [];
  /** @type {(node: Node, names: readonly string[]) => void} */
  const visit = (node, names) => {
    const { name, type, body, modifierFlags = 0 } = /** @type {Declared} */ (node);
    if (name?.kind === SyntaxKind.PrivateIdentifier || modifierFlags & ModifierFlags.Private) return;
    const inner = name?.kind === SyntaxKind.Identifier ? [...names, name.getText()] : names;
    if (type !== undefined && FUNCTIONS.has(node.kind)) returns.push({ name: inner.join("."), type });
    node.forEachChild((child) => {
      if (child !== body) visit(child, inner);
    });
  };
  for (const statement of file?.statements ?? []) {
    const { modifierFlags = 0 } = /** @type {Declared} */ (statement);
    if (modifierFlags & ModifierFlags.Export) visit(statement, []);
  }
  return returns;
}

/** The declarations whose type is a return type. */
const FUNCTIONS = new Set([
  SyntaxKind.FunctionDeclaration,
  SyntaxKind.FunctionExpression,
  SyntaxKind.ArrowFunction,
  SyntaxKind.FunctionType,
  SyntaxKind.MethodDeclaration,
  SyntaxKind.MethodSignature,
  SyntaxKind.GetAccessor,
  SyntaxKind.CallSignature,
]);

/** Finds types that are a text or something else. It asks the compiler once about each type. */
class MixedTypes {
  /** @type {Map<number, boolean>} */
  #known = new Map();
  #checker;

  /** @param {Checker} checker */
  constructor(checker) {
    this.#checker = checker;
  }

  /** @param {Type | undefined} type */
  has(type) {
    if (type === undefined) return false;
    const result = this.#known.get(type.id) ?? isMixed(this.#partsOf(type));
    this.#known.set(type.id, result);
    return result;
  }

  /**
   * The members of a union. A promise counts as its value.
   *
   * @param {Type} type
   * @returns {readonly Type[]}
   */
  #partsOf(type) {
    if (type.isUnionType()) return type.getTypes().flatMap((member) => this.#partsOf(member));
    if (type.isTypeReference() && nameOf(type) === "Promise")
      return this.#checker.getTypeArguments(type).flatMap((value) => this.#partsOf(value));
    return [type];
  }
}

const NOTHING = TypeFlags.Undefined | TypeFlags.Null | TypeFlags.Void;

/** What a type that can be any JSON value has at least. */
const JSON_KINDS = [TypeFlags.String, TypeFlags.Number, TypeFlags.BooleanLike];

/** @param {readonly Type[]} parts */
function isMixed(parts) {
  if (JSON_KINDS.every((kind) => parts.some(({ flags }) => flags & kind))) return false;
  const texts = parts.filter(({ flags }) => flags & TypeFlags.StringLike);
  const others = parts.filter(({ flags }) => !(flags & (TypeFlags.StringLike | NOTHING)));
  // The text is the value if the only other part is a Problem.
  const isValue = texts.some(({ flags }) => flags & TypeFlags.String);
  return texts.length > 0 && others.some((part) => !(isValue && nameOf(part) === "Problem"));
}

/** @param {Type} type */
function nameOf(type) {
  return type.getSymbol()?.name;
}
