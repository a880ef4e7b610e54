// The tests of the message reader and the answer encoder, each worker recording which code it ran: see ../coverage.mjs.
import { fileURLToPath } from "node:url";
import ordinary from "../../vitest.config.ts";

/** @type {import("vitest/config").ViteUserConfig} */
export default {
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    ...ordinary.test,
    include: [
      "test/wire/**/*.test.ts",
      "test/protocol/**/*.test.ts",
      "test/property/**/*.test.ts",
      "test/grpc/**/*.test.ts",
    ],
    setupFiles: ["scripts/branch-coverage/record.mjs"],
    typecheck: { enabled: false },
  },
};
