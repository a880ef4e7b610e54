import { writeFileSync } from "node:fs";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { CallError, callServer, parseAnswers, parseMessages, type ServerAnswer } from "../debug/call-server.ts";
import { printableLine } from "../server/log/printable.ts";
import { serverUrl } from "../simulation/server-url.ts";
import type { Problem } from "../text/problem.ts";
import { readData } from "./terminal/data-file.ts";
import { headerOf } from "./terminal/header-flag.ts";
import { lineDiff } from "./terminal/line-diff.ts";
import type { Terminal } from "./terminal/terminal.ts";
import { CliError, EXIT } from "./terminal/usage-error.ts";

const FLAGS = {
  help: { type: "boolean", short: "h" },
  header: { type: "string", short: "H", multiple: true },
  json: { type: "boolean" },
  raw: { type: "boolean" },
  "timeout-ms": { type: "string" },
  "no-wait": { type: "boolean" },
  save: { type: "string" },
  expect: { type: "string" },
} as const;

/** `ext-proc call HOST:PORT messages.json`: sends messages to any ext_proc server. Returns the exit code. */
export async function callCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: FLAGS });
  if (values.help === true) {
    terminal.out(HELP);
    return EXIT.good;
  }
  const [target, file, ...more] = positionals;
  if (target === undefined || file === undefined || more.length > 0) {
    throw new CliError("call needs a server and a file. Example: ext-proc call localhost:9002 messages.json");
  }
  const url = serverUrl(target);
  if (url === undefined) throw new CliError(`${target}: is not a server; write HOST:PORT, or a URL for TLS`);
  const timeoutMs = timeoutOf(values["timeout-ms"]);
  const messages = accepted(file, parseMessages(await readData("messages", file)));
  const wanted =
    values.expect === undefined
      ? undefined
      : accepted(values.expect, parseAnswers(await readData("--expect", values.expect)));
  const options = { timeoutMs, waits: values["no-wait"] !== true, headers: headersOf(values.header ?? []) };
  const answers: ServerAnswer[] = [];
  let failure: CallError | undefined;
  try {
    for await (const answer of callServer(url, messages, options)) {
      answers.push(answer);
      terminal.out(JSON.stringify(values.json === true ? answer.exact : answer.readable), {
        isRaw: values.raw === true,
      });
    }
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    failure = error;
  }
  if (values.save !== undefined) save(values.save, answers);
  // A part of the message comes from the server.
  if (failure) throw new CliError(`${target}: ${printableLine(failure.message)}`, EXIT.bad);
  return wanted === undefined ? EXIT.good : compare(wanted, answers, { terminal, file: values.expect ?? "" });
}

function accepted<T extends object>(file: string, parsed: T | Problem): T {
  if ("problem" in parsed) throw new CliError(`${file}: ${parsed.problem}`, EXIT.bad);
  return parsed;
}

function save(path: string, answers: readonly ServerAnswer[]): void {
  try {
    writeFileSync(
      path,
      `${JSON.stringify(
        answers.map(({ exact }) => exact),
        null,
        2,
      )}\n`,
    );
  } catch (error) {
    throw new CliError(`--save: ${path} cannot be written (${(error as NodeJS.ErrnoException).code})`, EXIT.bad);
  }
}

function compare(
  wanted: readonly unknown[],
  answers: readonly ServerAnswer[],
  { terminal, file }: { readonly terminal: Terminal; readonly file: string },
): number {
  const found = answers.map(({ readable }) => readable);
  if (isDeepStrictEqual(wanted, found)) return EXIT.good;
  const linesOf = (value: unknown) => JSON.stringify(value, null, 2).split("\n");
  terminal.error(`ext-proc: the answers differ from those of ${file} (- expected, + received)`);
  for (const line of lineDiff(linesOf(wanted), linesOf(found))) terminal.error(line);
  return EXIT.bad;
}

function timeoutOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_TIMEOUT_MS;
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text);
  throw new CliError(`--timeout-ms: ${JSON.stringify(text)} is not a whole number from 1 to 9999999`);
}

function headersOf(lines: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(lines.map((line) => headerOf("--header", line)));
}

const DEFAULT_TIMEOUT_MS = 5_000;

const HELP = [
  "Usage: ext-proc call HOST:PORT FILE [flags]",
  "",
  "Sends the ProcessingRequests of a file to any ext_proc server, as one gRPC stream, and prints each answer when it comes,",
  "as one line, with header values and bodies as text. A message is sent after the message before it was answered. FILE has",
  "a list of messages in JSON or YAML, or an object whose property requests is such a list. - is standard input.",
  "",
  "Examples:",
  "  ext-proc call localhost:9002 messages.json",
  "  ext-proc call localhost:9002 messages.json --save answers.json",
  "  ext-proc call localhost:9002 messages.json --expect answers.json",
  "",
  "  -H, --header 'NAME: VALUE'",
  "      metadata of the call, such as x-ext-proc-config; can be repeated",
  "  --json",
  "      print answers in protobuf's JSON format, with bytes in base64",
  "  --raw",
  "      do not escape control characters that JSON allows, such as U+009B",
  `  --timeout-ms N`,
  `      timeout for each answer; default ${DEFAULT_TIMEOUT_MS}`,
  "  --no-wait",
  "      send all messages at once",
  "  --save FILE",
  "      write the answers to a file",
  "  --expect FILE",
  "      compare the answers with those of a file, and print the differences",
  "  -h, --help",
  "",
  "Exit codes: 0 success, 1 the server is unreachable, fails, is too slow or differs, 2 wrong usage, 70 a bug.",
].join("\n");
