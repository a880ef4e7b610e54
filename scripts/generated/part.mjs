/**
 * A document with another text between the two marks of a generated part, `<!-- NAME: COMMAND -->` and `<!-- end of NAME -->`.
 *
 * @param {string} document
 * @param {string} name
 * @param {string} text
 */
export function withGeneratedPart(document, name, text) {
  const begin = new RegExp(`<!-- ${name}: [^>]* -->`).exec(document);
  const end = document.indexOf(`<!-- end of ${name} -->`);
  if (begin === null || end < begin.index)
    throw new Error(`the document must have <!-- ${name}: … --> and <!-- end of ${name} -->`);
  return `${document.slice(0, begin.index + begin[0].length)}\n\n${text}\n\n${document.slice(end)}`;
}
