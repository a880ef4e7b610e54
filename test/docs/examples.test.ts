import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { codeBlocks, isInProject, readDocument, root, tableRows } from "./markdown.ts";

const entries = readdirSync(join(root, "examples"), { withFileTypes: true });
const examples = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);

describe.each(examples)("examples/%s", (name) => {
  const document = readDocument(`examples/${name}/README.md`);

  test("the example has a processor of its name, a test, and its part of Envoy's configuration", () => {
    const folder = `examples/${name}`;
    expect(readDocument(`${folder}/processor.js`)).toContain(`name: "${name}"`);
    expect(readDocument(`${folder}/processor.test.ts`)).toContain('from "ext-proc/testing"');
    // The first of all needs no more than what is deployed.
    expect(isInProject(`${folder}/envoy.yaml`)).toBe(name !== "greeter");
  });

  test("the example's README says first how to start the example", () => {
    const [start] = codeBlocks(document);
    expect(start).toMatchObject({ language: "sh" });
    expect(start?.text).toMatch(new RegExp(`^npm start -- .*\\./examples/${name}/processor\\.js\n$`));
  });

  test("the list of examples has this example", () => {
    const listed = tableRows(readDocument("examples/README.md")).map(([first]) => first);
    expect(listed).toContain(`[${name}](${name})`);
  });
});
