// `npm ci` in a checkout builds dist/. An installation without dev dependencies has no compiler and keeps
// the dist/ it was given (the image is pruned after its build), so it is skipped without a word.
import { existsSync } from "node:fs";

if (existsSync(new URL("../node_modules/typescript/bin/tsc", import.meta.url))) await import("./build.mjs");
