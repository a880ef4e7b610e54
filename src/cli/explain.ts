import { parseArgs } from "node:util";
import { FAULT_CODES, type FaultCode, type FaultSource, faultKind } from "../protocol/faults.ts";
import { nearestName } from "../server/settings/nearest-name.ts";
import type { Terminal } from "./terminal/terminal.ts";
import { CliError, EXIT } from "./terminal/usage-error.ts";

const USAGE = `Usage: ext-proc explain [CODE]

Prints what a fault means and what to do about it. CODE is the code in the log line, in the label of
ext_proc_faults_total, or in Envoy's access log (ext_proc_fault_CODE). Without CODE it lists all codes.

Exit codes: 0 success, 2 there is no such code.

Examples:
  ext-proc explain body_undecodable
  ext-proc explain ext_proc_fault_handler_timeout`;

/** The text before the code in Envoy's access log. */
const DETAILS_PREFIX = "ext_proc_fault_";

const CAUSES: Readonly<Record<FaultSource, string>> = {
  handler: "a processor",
  envoy: "Envoy's side: a client, an upstream, or Envoy's configuration",
  internal: "this server",
};

/**
 * `ext-proc explain [CODE]`: prints what a fault means and what to do about it. Returns the exit code.
 *
 * @throws {CliError} If there is no such code. It names the nearest ones.
 */
export async function explainCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = { help: { type: "boolean", short: "h" } } as const;
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  if (values.help === true) {
    terminal.out(USAGE);
    return EXIT.good;
  }
  const [written, surplus] = positionals;
  if (surplus !== undefined) throw new CliError(`explain: takes one code; unexpected: ${surplus}`);
  terminal.out(written === undefined ? allCodes() : explanation(codeOf(written)));
  return EXIT.good;
}

function codeOf(written: string): FaultCode {
  const name = written.startsWith(DETAILS_PREFIX) ? written.slice(DETAILS_PREFIX.length) : written;
  const code = FAULT_CODES.find((each) => each === name);
  if (code !== undefined) return code;
  const near = nearestCodes(name);
  const hint = near.length === 0 ? "ext-proc explain lists all codes" : `similar codes: ${near.join(", ")}`;
  throw new CliError(`explain: there is no fault ${JSON.stringify(written)}; ${hint}`);
}

/** The code that was most likely meant, and the codes that have a word in common with the given name. */
function nearestCodes(name: string): readonly string[] {
  const words = name
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word.length > 2);
  const sharing = FAULT_CODES.filter((code) => code.split("_").some((word) => words.includes(word)));
  const nearest = nearestName(name, FAULT_CODES);
  return [...new Set([...(nearest === undefined ? [] : [nearest]), ...sharing])];
}

function explanation(code: FaultCode): string {
  const { meaning, fix, source, grpcStatus, httpStatus, closed, open } = faultKind(code);
  const statuses = httpStatus ?? { request: 500, response: 500 };
  const { request, response } = statuses;
  const status = request === response ? `${request}` : `${request} for a request, ${response} for a response`;
  return [
    code,
    "",
    meaning,
    "",
    `What to do:           ${fix}`,
    `Caused by:            ${CAUSES[source]}`,
    `Under onFault envoy:  gRPC error ${grpcStatus}`,
    `Under onFault closed: ${closed ?? status}`,
    `Under onFault open:   ${open}`,
  ].join("\n");
}

function allCodes(): string {
  const width = Math.max(...FAULT_CODES.map(({ length }) => length));
  return FAULT_CODES.map((code) => `${code.padEnd(width)}  ${faultKind(code).meaning}`).join("\n");
}
