import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { readDocument, root } from "./markdown.ts";

/** A test as it is written. */
export interface TestName {
  /** The file without its folder. */
  readonly file: string;
  /** What a placeholder of the name (`${…}`, `%s`, `%d`) stands for may be anything: it is `…` here. */
  readonly name: string;
}

const known = new Map<string, readonly TestName[]>();

/** The names of the tests of a folder and of all folders in it. */
export function testNames(folder: string): readonly TestName[] {
  const names = known.get(folder) ?? readTestNames(folder);
  known.set(folder, names);
  return names;
}

/** Whether a name is the one that is cited, in which `…` stands for anything. */
export function isNamed(citedName: string, name: string): boolean {
  const pattern = citedName.split("…").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${pattern.join(".*")}$`).test(name);
}

function readTestNames(folder: string): TestName[] {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });
  return files
    .filter((file) => file.endsWith(".test.ts"))
    .flatMap((file) => {
      const names = readDocument(`${folder}/${file}`).matchAll(
        /(?:^\s*(?:(?:test|row)[^"`]*\(\s*)?|\)\(\s*)(["`])((?:(?!\1).)*)\1,/gm,
      );
      return [...names].map(([, , name = ""]) => ({
        file: basename(file),
        name: name.replaceAll(/\$\{[^}]*\}|%[sd]/g, "…"),
      }));
    });
}
