// `npm run lint` runs this: it checks src against scripts/structure/folders.mjs and the rule for refused values. Exit
// code 1 if a rule is broken.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { FOLDERS } from "./structure/folders.mjs";
import { returnTypeProblems } from "./structure/return-types.mjs";
import { structureProblems } from "./structure/rules.mjs";
import { readSources } from "./structure/sources.mjs";

const { values } = parseArgs({ options: { root: { type: "string" } } });
const root = values.root ?? fileURLToPath(new URL("..", import.meta.url));
const problems = [...structureProblems(readSources(root), FOLDERS), ...returnTypeProblems(root)];
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
