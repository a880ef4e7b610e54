import { runInThisContext } from "node:vm";
import { beforeAll, expect, test } from "vitest";
import { withMessagePaths } from "../../scripts/generated/message-paths.mjs";
import { instrument } from "../../scripts/message-path/instrument.mjs";
import { recordPaths } from "../../scripts/message-path/record-path.mjs";
import { readDocument } from "./markdown.ts";

let headers: string[];
let body: string[];

beforeAll(() => {
  [headers = [], body = []] = recordPaths(["headers", "body"]);
}, 60_000);

test("docs/architecture.md lists the files on the path of a message as npm run docs:parts writes them", () => {
  const document = readDocument("docs/architecture.md");
  expect(document).toBe(withMessagePaths(document, { headers, body }));
});

test("a message comes from the socket and goes back to it, through its session", () => {
  for (const files of [headers, body]) {
    expect(files[0]).toBe("http2/shared-read-buffer.ts");
    expect(files).toContain("session/session.ts");
    expect(files.at(-1)).toMatch(/^http2\//);
  }
});

test("instrumented code reports its file when a function begins, and does what it did before", () => {
  const code = `
    class Base { constructor(value) { this.value = value; } }
    class Sum extends Base {
      constructor(value) { super(value); }
      get twice() { return 2 * this.value; }
      add = (more) => ({ sum: this.value + more });
    }
    const sum = new Sum(3);
    [sum.twice, sum.add(4).sum]`;
  const entered: string[] = [];
  Object.assign(globalThis, { entered: (file: string) => entered.push(file) });
  try {
    expect(runInThisContext(instrument(code, "sum.js"))).toEqual([6, 7]);
  } finally {
    Reflect.deleteProperty(globalThis, "entered");
  }
  expect(entered).toEqual(Array(4).fill("sum.js"));
});
