// The files on the path of a message, in docs/architecture.md.
import { withGeneratedPart } from "./part.mjs";

/**
 * A document with the files through which request headers and a chunk of a body go, in its generated parts.
 *
 * @param {string} document
 * @param {{ readonly headers: readonly string[], readonly body: readonly string[] }} paths Files in the order of the calls.
 */
export function withMessagePaths(document, { headers, body }) {
  return withGeneratedPart(
    withGeneratedPart(document, "files of request headers", numbered(headers)),
    "files of a chunk",
    numbered(body),
  );
}

/**
 * Each file once, where the message comes to it first.
 *
 * @param {readonly string[]} files
 */
function numbered(files) {
  /** @type {{ folder: string, names: string[] }[]} */
  const visits = [];
  for (const file of new Set(files)) {
    const slash = file.lastIndexOf("/");
    const [folder, name] = [file.slice(0, slash), file.slice(slash + 1)];
    const last = visits.at(-1);
    if (last?.folder === folder) last.names.push(name);
    else visits.push({ folder, names: [name] });
  }
  const lines = visits.map(({ folder, names }, index) => `${index + 1}. \`src/${folder}\`: ${names.join(", ")}`);
  return lines.join("\n");
}
