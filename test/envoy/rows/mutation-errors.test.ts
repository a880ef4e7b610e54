import { expect } from "vitest";
import type { JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import { isSince } from "./envoy-release.ts";
import { envoyRows } from "./row.ts";
import type { Scene } from "./scene.ts";
import { FAIL_OPEN, mutate, on, scripted, setting } from "./script-scenes.ts";

const ONE_REFUSED = { rejected_header_mutations: 1 };

/** A mutation in one direction that fails the transaction. */
function failing(direction: "request" | "response", headerMutation: JsonObject, filter: JsonObject = {}) {
  const kind = `${direction}Headers` as const;
  return { server: scripted(on(kind, mutate(kind, headerMutation))), filter, counters: ONE_REFUSED };
}

/** The same under both fault policies, which makes no difference, and in both directions. */
function everywhere(headerMutation: JsonObject) {
  return {
    request: failing("request", headerMutation),
    open: failing("request", headerMutation, FAIL_OPEN),
    response: failing("response", headerMutation),
  };
}

/** The client gets 500; since 1.37 the details are a fixed word. */
async function expectRefused(scenes: Readonly<Record<string, Scene>>, details: string): Promise<void> {
  for (const [key, scene] of Object.entries(scenes)) {
    const outcome = await scene.send();
    expect(outcome.status, key).toBe(500);
    expect(outcome.headers, key).not.toHaveProperty("x-upstream");
    expect(scene.upstream, key).toHaveLength(key.startsWith("response") ? 1 : 0);
    const [line] = await scene.logged();
    expect(line?.details, key).toEqual(isSince("1.37") ? expect.stringContaining(details) : expect.any(String));
  }
}

const KILOBYTES_16 = { key: "x-big-#", rawValue: { repeat: "x", times: 16 * 1024 } };
const INVALID_SET = "header_mutation_set_contains_invalid_character";

envoyRows("header mutations that fail", (row) => {
  row(
    "row 36: under disallow_is_error a refused header fails the transaction",
    {
      scenes: {
        request: failing("request", setting([":scheme", "https"]), { mutation_rules: { disallow_is_error: true } }),
      },
    },
    (scenes) => expectRefused(scenes, "header_mutation_set_headers_failed"),
  );

  row(
    "row 37: under disallow_all an immediate response goes out without its headers",
    {
      scenes: {
        only: {
          server: scripted(
            on("requestHeaders", {
              send: {
                immediateResponse: {
                  status: { code: 403 },
                  headers: setting(["x-why", "1"], ["x-who", "2"]),
                  body: "no",
                },
              } as never,
            }),
          ),
          filter: { mutation_rules: { disallow_all: true } },
          counters: { rejected_header_mutations: 2 },
        },
      },
    },
    async ({ only }) => {
      const outcome = await only.send();
      expect(outcome).toMatchObject({ status: 403, body: "no" });
      expect(outcome.headers).not.toHaveProperty("x-why");
      expect(outcome.headers).not.toHaveProperty("x-who");
      expect(only.upstream).toEqual([]);
    },
  );

  row(
    "row 38: a header name with a newline fails the transaction",
    { scenes: everywhere(setting(["x-a\nb", "1"])) },
    (scenes) => expectRefused(scenes, INVALID_SET),
  );

  row(
    "row 39: a header value with CR, LF or NUL fails the transaction",
    {
      scenes: {
        ...everywhere(setting(["x-a", "1\r2"])),
        lineFeed: failing("request", setting(["x-a", "1\n2"])),
        nul: failing("request", setting(["x-a", "1\0"])),
      },
    },
    (scenes) => expectRefused(scenes, INVALID_SET),
  );

  row(
    "row 40: a name to remove with a newline fails the transaction",
    { scenes: everywhere({ removeHeaders: ["x-a\nb"] }) },
    (scenes) => expectRefused(scenes, "header_mutation_remove_contains_invalid_character"),
  );

  row(
    "row 41: 101 headers to set, even of one name, fail the transaction, and so do 101 to remove",
    {
      scenes: {
        ...everywhere({ setHeaders: [{ times: 101, item: { header: { key: "x-same", rawValue: "#" } } }] }),
        removals: failing("request", { removeHeaders: [{ times: 101, item: "x-gone-#" }] }),
      },
    },
    (scenes) => expectRefused(scenes, "header_mutation_operation_count_exceeds_limit"),
  );

  const times = (count: number, item: JsonObject): JsonObject => ({ setHeaders: [{ times: count, item }] });
  const small = { header: { key: "x-new-#", rawValue: "1" } };
  const passing = (direction: "request" | "response", headerMutation: JsonObject) => ({
    ...failing(direction, headerMutation),
    counters: {},
  });
  row(
    "row 42: a result of more than 100 headers, over 60 KiB in a request or 80 KiB in a response, fails the transaction",
    {
      scenes: {
        requestCount: failing("request", times(100, small)),
        requestBytes: failing("request", times(4, { header: KILOBYTES_16 })),
        responseCount: failing("response", times(100, small)),
        responseBytes: failing("response", times(6, { header: KILOBYTES_16 })),
        fewer: passing("request", times(80, small)),
        smaller: passing("request", times(3, { header: KILOBYTES_16 })),
        smallerResponse: passing("response", times(4, { header: KILOBYTES_16 })),
      },
    },
    async ({ fewer, smaller, smallerResponse, ...refused }) => {
      await expectRefused(refused, "header_mutation_result_exceeds_limit");
      for (const scene of [fewer, smaller, smallerResponse]) expect((await scene.send()).status).toBe(200);
      expect(fewer.upstream[0]?.headers).toHaveProperty("x-new-79", "1");
      expect(smaller.upstream[0]?.headers["x-big-2"]).toHaveLength(16 * 1024);
    },
  );
});
