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

/**
 * Where the tool is. Where it is not, the test that asks is skipped with one line, so that a newcomer needs nothing
 * but Node; with `CI=true` that is a failure, since a check that nobody notices missing is none.
 */
export function requireTool(tool: RequiredTool, context: TestContext): string {
  const named = process.env[tool.variable];
  const candidates = named ? [named] : (process.env.PATH ?? "").split(delimiter).map((dir) => join(dir, tool.name));
  const found = candidates.find(isExecutable);
  if (found !== undefined) return found;
  const note = `${tool.name} is not on PATH and ${tool.variable} does not name it: ${tool.install}`;
  if (process.env.CI) throw new Error(note);
  return context.skip(note);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
