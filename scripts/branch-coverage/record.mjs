// Has V8 count what runs from here on, and writes it to COVERAGE_FOLDER behind the last test of a file.
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { Session } from "node:inspector";
import { join } from "node:path";
import { afterAll } from "vitest";

const { COVERAGE_FOLDER: folder = "" } = process.env;
const session = new Session();
session.connect();
session.post("Profiler.enable");
session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });

afterAll(() => {
  session.post("Profiler.takePreciseCoverage", (error, coverage) => {
    if (error) throw error;
    writeFileSync(join(folder, `${randomUUID()}.json`), JSON.stringify(coverage));
  });
});
