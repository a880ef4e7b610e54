import { spawnSync } from "node:child_process";
import { afterAll, describe, expect, inject, test } from "vitest";
import { type CodeBlock, codeBlocks, readDocument } from "./markdown.ts";
import { ShellSession } from "./shell-session.ts";

/** Documents whose commands are run as they stand, in order. */
const DOCUMENTS = [
  "README.md",
  "docs/testing.md",
  "docs/debugging.md",
  "examples/greeter/README.md",
  "examples/dynamic-forwarding/README.md",
];
const NEEDS_ENVOY = /envoy:install|npm run demo|localhost:10000/;

const hasTools = ["bash", "curl"].every((tool) => spawnSync(tool, ["--version"]).status === 0);
if (!hasTools && process.env.CI === "true") throw new Error("these tests need bash and curl");
const hasEnvoy = inject("envoyBinary") !== undefined;

interface Step {
  readonly command: string;
  /** What the document says that it prints. */
  readonly output: string | undefined;
}

describe.skipIf(!hasTools).each(DOCUMENTS)("the commands of %s", (path) => {
  const session = new ShellSession();
  afterAll(() => session.close());

  for (const { command, output } of steps(codeBlocks(readDocument(path)))) {
    if (command === "npm ci") {
      test("CI begins with npm ci", () => {
        expect(readDocument(".ci/run")).toMatch(/^install 'npm ci' npm ci /m);
      });
    } else {
      test.skipIf(!hasEnvoy && NEEDS_ENVOY.test(command))(
        `the command prints what the page shows: ${command}`,
        { timeout: 90_000 },
        async () => {
          const printed = await session.run(command);
          if (output !== undefined) {
            expect(comparable(output)).not.toBe("");
            expect(comparable(printed)).toContain(comparable(output));
          }
        },
      );
    }
  }
});

function steps(blocks: readonly CodeBlock[]): Step[] {
  return blocks.flatMap(({ language, text }, index) => {
    if (language !== "sh") return [];
    const next = blocks[index + 1];
    const output = next?.language === "text" && next.follows ? next.text : undefined;
    const commands = text.trim().split(/(?<!\\)\n/);
    return commands.map((command, at) => ({ command, output: at === commands.length - 1 ? output : undefined }));
  });
}

/** A text without what differs from run to run. */
function comparable(text: string): string {
  return text
    .replaceAll("\r", "")
    .replaceAll(/^date: .*$/gim, "date: DATE")
    .replaceAll(/\blocalhost:\d+/g, "localhost:PORT")
    .replaceAll(/"[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}"/g, '"ID"')
    .replaceAll(/"durationMs":[\d.]+/g, '"durationMs":MS')
    .replaceAll(/\b[\d.]+ ms in handlers/g, "MS ms in handlers")
    .replaceAll(/^(x-envoy-upstream-service-time): \d+$/gm, "$1: MS")
    .trim();
}
