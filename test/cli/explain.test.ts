import { expect, test } from "vitest";
import { explainCommand } from "../../src/cli/explain.ts";
import { FAULT_CODES, faultKind } from "../../src/protocol/faults.ts";

async function explain(...args: readonly string[]): Promise<string> {
  const lines: string[] = [];
  const code = await explainCommand(args, { out: (text) => lines.push(text), error: (text) => lines.push(text) });
  expect(code).toBe(0);
  return lines.join("\n");
}

test.each(FAULT_CODES)("ext-proc explain %s prints what the fault means and what to do about it", async (code) => {
  const text = await explain(code);
  expect(text).toContain(`${code}\n\n${faultKind(code).meaning}\n\nWhat to do:`);
  expect(text).toContain(faultKind(code).fix);
});

test("ext-proc explain prints who caused the fault and what happens to the transaction", async () => {
  expect(await explain("body_undecodable")).toMatch(
    /Caused by: +Envoy's side.*\nUnder onFault envoy: +gRPC error INVALID_ARGUMENT\nUnder onFault closed: 400 for a request, 500 for a response\nUnder onFault open: +passes if nothing/,
  );
});

test("ext-proc explain takes a code as Envoy's access log has it", async () => {
  expect(await explain("ext_proc_fault_handler_timeout")).toBe(await explain("handler_timeout"));
});

test("ext-proc explain without a code lists every code with its meaning", async () => {
  expect((await explain()).split("\n").map((line) => line.split(" ", 1)[0])).toEqual(FAULT_CODES);
});

test.each([
  ["body_undecodabel", 'explain: there is no fault "body_undecodabel"; similar codes: body_undecodable, '],
  ["draining", 'explain: there is no fault "draining"; similar codes: server_draining'],
  ["constructor", 'explain: there is no fault "constructor"; ext-proc explain lists all codes'],
])("ext-proc explain %s names the nearest codes", async (written, problem) => {
  await expect(explain(written)).rejects.toThrow(problem);
});
