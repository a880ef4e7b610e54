// The tables of faults in docs/failure.md and docs/architecture.md, made of the table of faults in src/protocol/faults.ts.
import { markdownTable } from "../markdown-table.mjs";
import { withGeneratedPart } from "./part.mjs";

/** @typedef {Readonly<Record<string, import("../../src/protocol/faults.ts").FaultKind>>} Faults */

/**
 * docs/failure.md with the table of faults: what happened, and what the server does with the transaction.
 *
 * @param {string} document
 * @param {Faults} faults
 */
export function withFaultOutcomes(document, faults) {
  const rows = Object.entries(faults).map(([code, kind]) => [
    `\`${code}\``,
    kind.meaning,
    underClosed(kind),
    kind.open,
  ]);
  return withGeneratedPart(
    document,
    "faults",
    markdownTable(["code", "what happened", "under `closed`", "under `open`"], rows),
  );
}

/**
 * docs/architecture.md with who caused each fault, and its gRPC status.
 *
 * @param {string} document
 * @param {Faults} faults
 */
export function withFaultStatuses(document, faults) {
  const rows = Object.entries(faults).map(([code, kind]) => [`\`${code}\``, `\`${kind.source}\``, kind.grpcStatus]);
  return withGeneratedPart(document, "faults", markdownTable(["code", "caused by", "gRPC status"], rows));
}

/** @param {import("../../src/protocol/faults.ts").FaultKind} kind */
function underClosed({ closed, httpStatus = { request: 500, response: 500 } }) {
  const { request, response } = httpStatus;
  return closed ?? (request === response ? `${request}` : `${request} or ${response}`);
}
