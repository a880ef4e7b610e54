// Compiles src/ to dist/, from nothing each time: a file removed from src/ must not live on in the package.
import { spawnSync } from "node:child_process";
import { chmodSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

rmSync(`${root}dist`, { recursive: true, force: true });
const { status } = spawnSync(
  process.execPath,
  [`${root}node_modules/typescript/bin/tsc`, "-p", `${root}tsconfig.json`],
  { stdio: "inherit" },
);
if (status === 0) chmodSync(`${root}dist/cli/main.js`, 0o755);
process.exitCode = status ?? 1;
