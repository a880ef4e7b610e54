/**
 * Throws where a document is not a well-formed XML, as far as our charts use it: elements nest, attributes are quoted
 * and unique, text has no bare `<` or `&`. Comments, CDATA and declarations are refused.
 */
export function assertWellFormed(document: string): void {
  const open: string[] = [];
  let rest = document;
  let roots = 0;
  while (rest !== "") {
    const text = /^[^<]*/.exec(rest)?.[0] ?? "";
    if (/&(?!(?:amp|lt|gt|quot|apos|#\d+);)/.test(text)) throw new Error(`a bare & in ${JSON.stringify(text)}`);
    if (open.length === 0 && text.trim() !== "") throw new Error(`text outside of the root: ${JSON.stringify(text)}`);
    rest = rest.slice(text.length);
    if (rest === "") break;
    const [tag = "", closing, name = "", attributes = "", empty] =
      /^<(\/?)([A-Za-z][\w-]*)((?:\s+[A-Za-z][\w:-]*="[^"<]*")*)\s*(\/?)>/.exec(rest) ?? [];
    if (tag === "") throw new Error(`no tag: ${JSON.stringify(rest.slice(0, 80))}`);
    rest = rest.slice(tag.length);
    const names = [...attributes.matchAll(/([\w:-]+)="/g)].map(([, attribute]) => attribute);
    if (new Set(names).size !== names.length) throw new Error(`an attribute twice in ${tag}`);
    if (closing) {
      if (open.pop() !== name) throw new Error(`${tag} closes nothing`);
    } else {
      if (open.length === 0) roots++;
      if (!empty) open.push(name);
    }
  }
  if (open.length > 0) throw new Error(`<${open.at(-1)}> is not closed`);
  if (roots !== 1) throw new Error(`${roots} roots instead of one`);
}
