import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { anchors, documents, isInProject, prose, readDocument } from "./markdown.ts";

const { scripts } = JSON.parse(readDocument("package.json"));

describe.each(documents())("%s", (path) => {
  const document = readDocument(path);

  test("every relative link of the document leads to an existing place", () => {
    const links = [...prose(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
    const relative = links.filter((link) => !/^https:\/\//.test(link));
    expect(relative.filter((link) => !leadsSomewhere(path, link))).toEqual([]);
  });

  test("every npm script that the document names exists", () => {
    const named = [...document.matchAll(/\bnpm run (?:--silent )?([\w:-]+)/g)].map(([, name = ""]) => name);
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
  });
});

function leadsSomewhere(from: string, link: string): boolean {
  const [target = "", anchor] = link.split("#");
  const path = target === "" ? from : join(dirname(from), target);
  if (!isInProject(path)) return false;
  return anchor === undefined || anchors(readDocument(path)).includes(anchor);
}
