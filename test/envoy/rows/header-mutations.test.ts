import { expect } from "vitest";
import { defineProcessor, setHeader } from "../../../src/index.ts";
import { envoyRows } from "./row.ts";
import type { Respond } from "./scene-upstream.ts";
import { mutate, on, scripted, setting } from "./script-scenes.ts";
import { served } from "./served.ts";

/** Applies one mutation to the headers of both directions. */
function both(headerMutation: Parameters<typeof mutate>[1]) {
  return scripted(
    on("requestHeaders", mutate("requestHeaders", headerMutation)),
    on("responseHeaders", mutate("responseHeaders", headerMutation)),
  );
}

function requestOnly(headerMutation: Parameters<typeof mutate>[1], more?: Parameters<typeof mutate>[2]) {
  return scripted(on("requestHeaders", mutate("requestHeaders", headerMutation, more)));
}

function responseOnly(headerMutation: Parameters<typeof mutate>[1]) {
  return scripted(on("responseHeaders", mutate("responseHeaders", headerMutation)));
}

/** Header lines of one name, values in order. */
function valuesOf(lines: readonly (readonly [string, string])[] | undefined, name: string): string[] {
  return (lines ?? []).filter(([candidate]) => candidate === name).map(([, value]) => value);
}

const WITH_LIST: Respond = (response) => response.setHeader("x-list", "old").end();

envoyRows("header mutations", (row) => {
  row(
    "row 25: a mutation that has only `value` sets an empty header, over one that exists too",
    {
      scenes: {
        only: {
          server: both({
            setHeaders: [{ header: { key: "x-new", value: "text" } }, { header: { key: "x-list", value: "text" } }],
          }),
          respond: WITH_LIST,
        },
      },
    },
    async ({ only }) => {
      const outcome = await only.send({ headers: { "x-list": "old" } });
      expect(outcome.status).toBe(200);
      for (const lines of [only.upstream[0]?.headerLines, outcome.headerLines]) {
        expect([valuesOf(lines, "x-new"), valuesOf(lines, "x-list")]).toEqual([[""], [""]]);
      }
    },
  );

  row(
    "row 26: of `value` and `raw_value` the latter is used",
    {
      scenes: {
        only: { server: both({ setHeaders: [{ header: { key: "x-new", value: "text", rawValue: "raw" } }] }) },
      },
    },
    async ({ only }) => {
      const outcome = await only.send();
      expect(only.upstream[0]?.headers["x-new"]).toBe("raw");
      expect(outcome.headers["x-new"]).toBe("raw");
    },
  );

  const ACTIONS = ["APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS", "OVERWRITE_IF_EXISTS_OR_ADD"];
  row(
    "row 29: append_action is not read: without `append` every one of them overwrites, and adds if there is nothing",
    {
      scenes: {
        only: {
          server: both({
            setHeaders: ACTIONS.flatMap((appendAction) => [
              { header: { key: `x-there-${appendAction.toLowerCase()}`, rawValue: "new" }, appendAction },
              { header: { key: `x-absent-${appendAction.toLowerCase()}`, rawValue: "new" }, appendAction },
            ]),
          }),
          respond(response) {
            for (const action of ACTIONS) response.setHeader(`x-there-${action.toLowerCase()}`, "old");
            response.end();
          },
        },
      },
    },
    async ({ only }) => {
      const outcome = await only.send({
        headers: Object.fromEntries(ACTIONS.map((action) => [`x-there-${action.toLowerCase()}`, "old"])),
      });
      for (const lines of [only.upstream[0]?.headerLines, outcome.headerLines]) {
        for (const action of ACTIONS.map((name) => name.toLowerCase())) {
          expect(valuesOf(lines, `x-there-${action}`), action).toEqual(["new"]);
          expect(valuesOf(lines, `x-absent-${action}`), action).toEqual(["new"]);
        }
      }
    },
  );

  row(
    "row 30: a header that is removed and set in one mutation has the new value alone",
    {
      scenes: {
        only: { server: both({ ...setting(["x-list", "new"]), removeHeaders: ["x-list"] }), respond: WITH_LIST },
      },
    },
    async ({ only }) => {
      const outcome = await only.send({ headers: { "x-list": ["old", "older"] } });
      expect(valuesOf(only.upstream[0]?.headerLines, "x-list")).toEqual(["new"]);
      expect(valuesOf(outcome.headerLines, "x-list")).toEqual(["new"]);
    },
  );

  row(
    "row 31: a new :path goes upstream on the route of the old one; method, scheme and authority stay",
    {
      scenes: {
        only: {
          server: requestOnly(setting([":path", "/elsewhere?q=1"])),
          virtualHosts: ({ upstream }) => [
            {
              name: "all",
              domains: ["*"],
              routes: [
                { match: { prefix: "/elsewhere" }, direct_response: { status: 409 } },
                { match: { prefix: "/" }, route: { cluster: upstream } },
              ],
            },
          ],
          logged: { scheme: "%REQ(:SCHEME)%" },
        },
      },
    },
    async ({ only }) => {
      expect((await only.send({ method: "PUT", path: "/first", headers: { host: "first.test" } })).status).toBe(200);
      expect(only.upstream).toMatchObject([{ method: "PUT", path: "/elsewhere?q=1", headers: { host: "first.test" } }]);
      expect((await only.logged())[0]).toMatchObject({ scheme: "http" });
    },
  );

  row(
    "row 32: a new :authority is ignored and counted unless mutation_rules allow it",
    {
      scenes: {
        only: {
          server: requestOnly(setting([":authority", "second.test"])),
          counters: { rejected_header_mutations: 1 },
        },
      },
    },
    async ({ only }) => {
      expect((await only.send({ headers: { host: "first.test" } })).status).toBe(200);
      expect(only.upstream[0]?.headers.host).toBe("first.test");
    },
  );

  const rerouted = (authority: string) => ({
    server: requestOnly(setting([":authority", authority]), { clearRouteCache: true }),
    filter: { mutation_rules: { allow_all_routing: true } },
    virtualHosts: ({ upstream }: { upstream: string }) => [
      { name: "first", domains: ["first.test"], routes: [{ match: { prefix: "/" }, route: { cluster: upstream } }] },
      {
        name: "second",
        domains: ["second.test"],
        routes: [{ match: { prefix: "/" }, direct_response: { status: 203, body: { inline_string: "second" } } }],
      },
    ],
  });
  row(
    "row 33: with allow_all_routing and clear_route_cache a new :authority finds its own host, or 404",
    { scenes: { known: rerouted("second.test"), unknown: rerouted("third.test") } },
    async ({ known, unknown }) => {
      const headers = { host: "first.test" };
      expect(await known.send({ headers })).toMatchObject({ status: 203, body: "second" });
      expect(await unknown.send({ headers })).toMatchObject({ status: 404 });
      expect([...known.upstream, ...unknown.upstream]).toEqual([]);
      expect((await unknown.logged())[0]?.details).toBe("route_not_found");
    },
  );

  row(
    "row 34: the removal of host and :method is ignored and counted",
    {
      scenes: {
        only: {
          server: requestOnly({ removeHeaders: ["host", ":method", "x-gone"] }),
          counters: { rejected_header_mutations: 2 },
        },
      },
    },
    async ({ only }) => {
      const headers = { host: "first.test", "x-gone": "1" };
      expect((await only.send({ method: "PUT", headers })).status).toBe(200);
      expect(only.upstream).toMatchObject([{ method: "PUT", headers: { host: "first.test" } }]);
      expect(only.upstream[0]?.headers).not.toHaveProperty("x-gone");
    },
  );

  row(
    "row 35: x-envoy-* is ignored and counted unless allow_envoy is set",
    {
      scenes: {
        refused: {
          server: requestOnly(setting(["x-envoy-foo", "1"])),
          counters: { rejected_header_mutations: 1 },
        },
        allowed: {
          server: requestOnly(setting(["x-envoy-foo", "1"])),
          filter: { mutation_rules: { allow_envoy: true } },
        },
      },
    },
    async ({ refused, allowed }) => {
      expect((await refused.send()).status).toBe(200);
      expect((await allowed.send()).status).toBe(200);
      expect(refused.upstream[0]?.headers).not.toHaveProperty("x-envoy-foo");
      expect(allowed.upstream[0]?.headers).toHaveProperty("x-envoy-foo", "1");
    },
  );

  row(
    "row 44: an entry without a header, and an empty name to remove, are skipped",
    {
      scenes: {
        only: {
          server: both({
            setHeaders: [{ append: true }, { header: { key: "x-new", rawValue: "1" } }],
            removeHeaders: [""],
          }),
        },
      },
    },
    async ({ only }) => {
      const outcome = await only.send();
      expect(outcome).toMatchObject({ status: 200, headers: { "x-new": "1" } });
      expect(only.upstream[0]?.headers).toHaveProperty("x-new", "1");
    },
  );

  const badStatus = (status: string) => ({
    server: responseOnly(setting([":status", status], ["x-other", "1"])),
    counters: { rejected_header_mutations: 1 },
  });
  row(
    "row 43: a :status that is not a number, or below 200, is ignored and counted",
    { scenes: { text: badStatus("abc"), low: badStatus("100") } },
    async ({ text, low }) => {
      for (const scene of [text, low]) {
        expect(await scene.send()).toMatchObject({ status: 200, headers: { "x-other": "1" }, body: "from upstream" });
      }
    },
  );

  const forwarded: (readonly [keys: readonly string[], path: string | undefined])[] = [];
  const reader = defineProcessor({
    name: "reader",
    requestHeaders(headers, tx) {
      forwarded.push([(headers.headers?.headers ?? []).map(({ key }) => key), tx.request.path]);
      return setHeader("x-method", tx.request.method ?? "none");
    },
  });
  row(
    "row 45: forward_rules show the server what they allow and no more, and it lives without :path",
    {
      scenes: {
        only: {
          server: served(reader),
          filter: {
            forward_rules: {
              allowed_headers: { patterns: [{ exact: ":method" }, { exact: "authorization" }, { prefix: "x-ok" }] },
              disallowed_headers: { patterns: [{ exact: "authorization" }] },
            },
          },
        },
      },
    },
    async ({ only }) => {
      const headers = { authorization: "Bearer x", "x-ok-1": "1", "x-other": "1" };
      expect((await only.send({ headers })).status).toBe(200);
      expect(forwarded).toEqual([[[":method", "x-ok-1"], undefined]]);
      expect(only.upstream[0]?.headers).toMatchObject({ ...headers, "x-method": "GET" });
    },
  );
});
