// `npm run docs:parts` writes the generated parts of docs/architecture.md, docs/failure.md and
// docs/contributing/rules-and-tests.md. The code must be built.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { FAULTS } from "../dist/protocol/faults.js";
import { withFaultOutcomes, withFaultStatuses } from "./generated/fault-tables.mjs";
import { withFolderList } from "./generated/folder-list.mjs";
import { withMessagePaths } from "./generated/message-paths.mjs";
import { rulesOf, withRules } from "./generated/rules-and-tests.mjs";
import { scenarioNames, testNames } from "./generated/test-names.mjs";
import { recordPaths } from "./message-path/record-path.mjs";
import { FOLDERS } from "./structure/folders.mjs";

/**
 * @param {string} path
 * @param {(document: string) => string} change
 */
function rewrite(path, change) {
  writeFileSync(inProject(path), change(readFileSync(inProject(path), "utf8")));
}

/** @param {string} path */
function inProject(path) {
  return fileURLToPath(new URL(`../${path}`, import.meta.url));
}

const [headers = [], body = []] = recordPaths(["headers", "body"]);
rewrite("docs/architecture.md", (document) =>
  withMessagePaths(withFaultStatuses(withFolderList(document, FOLDERS), FAULTS), { headers, body }),
);
rewrite("docs/failure.md", (document) => withFaultOutcomes(document, FAULTS));

const rules = rulesOf(readFileSync(inProject("docs/envoy-behaviour.md"), "utf8"));
const names = [...testNames("test/envoy"), ...scenarioNames()];
rewrite("docs/contributing/rules-and-tests.md", (document) => withRules(document, rules, names));
