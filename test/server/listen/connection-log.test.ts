import { expect, test } from "vitest";
import type { END_REASONS } from "../../../src/http2/end-reason.ts";
import { connectionLog } from "../../../src/server/listen/connection-log.ts";

test("connections that end for one reason suppress no line about another reason or a failure of ours", () => {
  const lines: Record<string, unknown>[] = [];
  const keep = (fields: object) => lines.push({ ...fields });
  const log = connectionLog({ info: keep, warn: keep, error: keep });
  const end = (reason: (typeof END_REASONS)[number]) => log.onConnectionEnd({ reason, code: 1, message: "noise" });
  for (let index = 0; index < 1_000; index++) {
    end("invalid_preface");
    log.onConnectionFailure({ listener: "main", maxConnections: 9, reason: "plaintext_on_tls_port" });
  }
  // The 1,000 lines may be in two different seconds.
  expect(lines.length).toBeLessThanOrEqual(40);
  lines.length = 0;
  end("internal_error");
  log.onHandlerError(new RangeError("x"));
  log.onConnectionFailure({ listener: "status", maxConnections: 9, reason: "plaintext_on_tls_port" });
  log.onNoDescriptor("EMFILE");
  expect(lines).toMatchObject([
    { reason: "internal_error" },
    { error: "RangeError" },
    { listener: "status", reason: "plaintext_on_tls_port" },
    { code: "EMFILE" },
  ]);
});
