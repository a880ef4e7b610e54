import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { TestContext } from "vitest";

/** A program from a package that npm does not carry. */
export interface RequiredTool {
  /** Its name on `PATH`. */
  readonly name: string;
  /** The environment variable that may name it instead, for one that is not on `PATH`. */
  readonly variable: string;
  /** The command that brings it. */
  readonly install: string;
}

const told = new Set<string>();

/**
 * Where the tool is. If it is not, the test that asks is skipped with one line, so that a newcomer needs nothing
 * but Node; with `CI=true` that is a failure, so that a missing check is noticed.
 */
export function requireTool(tool: RequiredTool, context: TestContext): string {
  const named = process.env[tool.variable];
  const candidates = named ? [named] : (process.env.PATH ?? "").split(delimiter).map((dir) => join(dir, tool.name));
  const found = candidates.find(isExecutable);
  if (found !== undefined) return found;
  const note = `${tool.name} is not on PATH and ${tool.variable} does not name it: ${tool.install}`;
  if (process.env.CI === "true") throw new Error(note);
  // The reporter keeps a skipped test's note to itself.
  if (!told.has(tool.name)) process.stderr.write(`Skipped: ${note}\n`);
  told.add(tool.name);
  return context.skip(note);
}

/** Runs a tool to its end, whatever it finds. */
export function runTool(path: string, args: readonly string[]): Promise<{ exitCode: number; output: string }> {
  return new Promise((resolve) => {
    const child = execFile(path, args, (_, stdout, stderr) => {
      resolve({ exitCode: child.exitCode ?? -1, output: `${stdout}${stderr}` });
    });
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
