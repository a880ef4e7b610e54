import { expect } from "vitest";
import { gate } from "./gate.ts";
import { envoyRows } from "./row.ts";
import { on, scripted, serverHalfClosed } from "./script-scenes.ts";

const HEADERS_ONLY = { processing_mode: { response_header_mode: "SKIP" } };

envoyRows(
  "the end of a stream with the graceful guard",
  (row) => {
    const responding = gate();
    row(
      "row 11: Envoy half-closes, and resets the stream only if the server does not end within a second",
      {
        scenes: {
          prompt: {
            server: scripted(on("halfClose", { end: 0 })),
            filter: HEADERS_ONLY,
            counters: serverHalfClosed(0),
          },
          silent: {
            server: scripted(),
            filter: HEADERS_ONLY,
            respond: (response) => void responding.opened.then(() => response.end()),
          },
        },
      },
      async ({ prompt, silent }) => {
        expect((await prompt.send()).status).toBe(200);
        const answered = await prompt.server.call(0);
        await answered.ended;
        expect(answered.halfClosed).toBe(true);
        expect(answered.resetCode).toBeUndefined();

        const outcome = silent.send();
        const call = await silent.server.call(0);
        responding.open();
        expect((await outcome).status).toBe(200);
        await call.ended;
        const atMs = (kind: string) => call.events.find((event) => event.kind === kind)?.atMs ?? Number.NaN;
        expect(call.halfClosed).toBe(true);
        expect(call.resetCode).toBeDefined();
        expect(atMs("reset") - atMs("halfClosed")).toBeGreaterThan(900);
      },
    );
  },
  { "envoy.reloadable_features.ext_proc_graceful_grpc_close": true },
);
