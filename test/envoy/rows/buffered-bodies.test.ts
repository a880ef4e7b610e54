import { expect } from "vitest";
import type { JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import { continueAndReplace, defineProcessor, replaceText, setHeader, setStatus } from "../../../src/index.ts";
import { envoyRows } from "./row.ts";
import { mutate, on, scripted, setting } from "./script-scenes.ts";
import { served } from "./served.ts";

const BUFFERED = { request_body_mode: "BUFFERED", response_body_mode: "BUFFERED" };
const POST = { method: "POST", body: "client's body" };
const WITHOUT_LENGTH = { removeHeaders: ["content-length"] };
const TWO_MIB = "x".repeat(2 << 20);

function answer(kind: "requestBody" | "responseBody", bodyMutation: JsonObject, headerMutation: JsonObject = {}) {
  return { send: { [kind]: { response: { bodyMutation, headerMutation } } } as never };
}

function length(headers: { readonly "content-length"?: string | undefined } | undefined): string | undefined {
  return headers?.["content-length"];
}

function ended(mode: string) {
  return { server: scripted(), filter: { processing_mode: { request_body_mode: mode } } };
}

envoyRows("bodies that are held", (row) => {
  row(
    "row 47: with the default configuration only headers come, and the body passes",
    { scenes: { plain: { server: scripted() } } },
    async ({ plain }) => {
      expect((await plain.send(POST)).status).toBe(200);
      const { received } = await plain.server.call(0);
      expect(received.map(({ request }) => request.case)).toEqual(["requestHeaders", "responseHeaders"]);
      expect(plain.upstream[0]?.body).toBe(POST.body);
    },
  );

  row(
    "row 48: without bodies there are no body messages",
    {
      scenes: {
        empty: {
          server: scripted(),
          filter: { processing_mode: BUFFERED },
          respond: (response) => void response.end(),
        },
      },
    },
    async ({ empty }) => {
      expect((await empty.send()).status).toBe(200);
      const { received } = await empty.server.call(0);
      expect(
        received.map(({ request }) => [request.case, (request.value as { endOfStream: boolean }).endOfStream]),
      ).toEqual([
        ["requestHeaders", true],
        ["responseHeaders", true],
      ]);
    },
  );

  row(
    "row 49: a buffered body is replaced, with its new content-length",
    {
      scenes: {
        replaced: {
          server: served(
            defineProcessor({
              name: "replacer",
              requestBody: { read: "text", handle: (text) => replaceText(`${text.length} characters`) },
            }),
          ),
          filter: { processing_mode: BUFFERED },
        },
      },
    },
    async ({ replaced }) => {
      expect((await replaced.send({ method: "POST", body: "x".repeat(100_000) })).status).toBe(200);
      const [request] = replaced.upstream;
      expect([request?.body, length(request?.headers)]).toEqual(["100000 characters", "17"]);
    },
  );

  row(
    "row 50: a buffered body replaced under its old content-length is a 500",
    {
      scenes: {
        wrong: {
          server: scripted(on("requestBody", answer("requestBody", { body: "another body, longer" }))),
          filter: { processing_mode: BUFFERED },
        },
      },
    },
    async ({ wrong }) => {
      expect((await wrong.send(POST)).status).toBe(500);
      expect((await wrong.logged())[0]?.details).toContain("mismatch");
    },
  );

  row(
    "row 51: without content-length a replaced body goes out in chunks",
    {
      scenes: {
        chunked: {
          server: scripted(
            on("requestHeaders", mutate("requestHeaders", WITHOUT_LENGTH)),
            on("requestBody", answer("requestBody", { body: "another body, longer" })),
          ),
          filter: { processing_mode: BUFFERED },
        },
      },
    },
    async ({ chunked }) => {
      expect((await chunked.send(POST)).status).toBe(200);
      const [request] = chunked.upstream;
      expect(request?.body).toBe("another body, longer");
      expect(request?.headers["transfer-encoding"]).toBe("chunked");
    },
  );

  row(
    "row 52: with the headers skipped Envoy takes content-length away, and a body can be replaced",
    {
      scenes: {
        skipped: {
          server: served(
            defineProcessor({ name: "replacer", requestBody: { read: "text", handle: () => replaceText("new") } }),
          ),
          filter: { processing_mode: { ...BUFFERED, request_header_mode: "SKIP" } },
        },
      },
    },
    async ({ skipped }) => {
      expect((await skipped.send(POST)).status).toBe(200);
      expect([skipped.upstream[0]?.body, length(skipped.upstream[0]?.headers)]).toEqual(["new", undefined]);
    },
  );

  row(
    "row 53: a request body above the buffer limit is a 413",
    { scenes: { large: { server: scripted(), filter: { processing_mode: BUFFERED } } } },
    async ({ large }) => {
      expect((await large.send({ method: "POST", body: TWO_MIB })).status).toBe(413);
    },
  );

  row(
    "row 54: a response body above the buffer limit is a 500",
    {
      scenes: {
        large: {
          server: scripted(),
          filter: { processing_mode: BUFFERED },
          respond: (response) => void response.end(TWO_MIB),
        },
      },
    },
    async ({ large }) => {
      expect((await large.send()).status).toBe(500);
    },
  );

  row(
    "row 55: trailers come behind a buffered body that has no end of stream, and are changed",
    {
      scenes: {
        trailed: {
          server: scripted(on("requestTrailers", mutate("requestTrailers", setting(["x-added", "yes"])))),
          filter: { processing_mode: { ...BUFFERED, request_trailer_mode: "SEND" } },
        },
      },
    },
    async ({ trailed }) => {
      expect((await trailed.send({ ...POST, trailers: { "x-t": "1" } })).status).toBe(200);
      const { received } = await trailed.server.call(0);
      const [, body, trailers] = received.map(({ request }) => request);
      expect(body).toMatchObject({ case: "requestBody", value: { endOfStream: false } });
      expect(trailers?.case).toBe("requestTrailers");
      expect(trailed.upstream[0]?.trailers).toEqual({ "x-t": "1", "x-added": "yes" });
    },
  );

  const annotated = defineProcessor({
    name: "annotator",
    requestBody: { read: "text", handle: (text) => setHeader("x-length", String(text.length)) },
    responseBody: { read: "text", handle: (text) => [setHeader("x-length", String(text.length)), setStatus(202)] },
  });
  row(
    "row 56: header changes in the answer to a buffered request body reach the upstream",
    { scenes: { annotated: { server: served(annotated), filter: { processing_mode: BUFFERED } } } },
    async ({ annotated: scene }) => {
      await scene.send(POST);
      expect(scene.upstream[0]?.headers["x-length"]).toBe("13");
    },
  );

  row(
    "row 57: header changes in the answer to a buffered response body reach the client, the status too",
    { scenes: { annotated: { server: served(annotated), filter: { processing_mode: BUFFERED } } } },
    async ({ annotated: scene }) => {
      const { status, headers, body } = await scene.send(POST);
      expect([status, headers["x-length"], body]).toEqual([202, "13", "from upstream"]);
    },
  );

  row(
    "row 58: a buffered body is cleared once its content-length is gone, else it is a 500",
    {
      scenes: {
        kept: {
          server: scripted(on("requestBody", answer("requestBody", { clearBody: true }))),
          filter: { processing_mode: BUFFERED },
        },
        removed: {
          server: scripted(on("requestBody", answer("requestBody", { clearBody: true }, WITHOUT_LENGTH))),
          filter: { processing_mode: BUFFERED },
        },
      },
    },
    async ({ kept, removed }) => {
      expect((await kept.send(POST)).status).toBe(500);
      expect((await removed.send(POST)).status).toBe(200);
      expect(removed.upstream[0]?.body).toBe("");
    },
  );

  row(
    "row 59: an empty body instead of a buffered one is empty",
    {
      scenes: {
        empty: {
          server: scripted(on("requestBody", answer("requestBody", { body: "" }, WITHOUT_LENGTH))),
          filter: { processing_mode: BUFFERED },
        },
      },
    },
    async ({ empty }) => {
      expect((await empty.send(POST)).status).toBe(200);
      expect(empty.upstream[0]?.body).toBe("");
    },
  );

  row(
    "row 60: a body mutation of nothing leaves a chunk, and is a 500 where a length is checked",
    {
      scenes: {
        streamed: {
          server: scripted(on("requestBody", answer("requestBody", {}))),
          filter: { processing_mode: { request_body_mode: "STREAMED" } },
        },
        buffered: {
          server: scripted(on("requestBody", answer("requestBody", {}))),
          filter: { processing_mode: BUFFERED },
        },
      },
    },
    async ({ streamed, buffered }) => {
      expect((await streamed.send(POST)).status).toBe(200);
      expect(streamed.upstream[0]?.body).toBe(POST.body);
      expect((await buffered.send(POST)).status).toBe(500);
    },
  );

  const PARTIAL = { request_body_mode: "BUFFERED_PARTIAL" };
  row(
    "row 61: a small body in BUFFERED_PARTIAL comes whole, and headers can change",
    { scenes: { small: { server: served(annotated), filter: { processing_mode: PARTIAL } } } },
    async ({ small }) => {
      expect((await small.send(POST)).status).toBe(200);
      expect([small.upstream[0]?.body, small.upstream[0]?.headers["x-length"]]).toEqual([POST.body, "13"]);
    },
  );

  row(
    "row 62: of a large body in BUFFERED_PARTIAL the beginning is replaced, and the rest stays",
    {
      scenes: {
        large: {
          server: served(
            defineProcessor({
              name: "partial",
              requestBody: {
                read: "whole",
                handle: ({ bytes, complete }) => replaceText(`${complete}:${bytes.length};`),
              },
            }),
          ),
          filter: { processing_mode: PARTIAL },
        },
      },
    },
    async ({ large }) => {
      expect((await large.send({ method: "POST", body: TWO_MIB })).status).toBe(200);
      const [, taken = "0", rest = ""] = /^false:(\d+);(x*)$/.exec(large.upstream[0]?.body ?? "") ?? [];
      expect(Number(taken)).toBeGreaterThan(0);
      expect(Number(taken) + rest.length).toBe(TWO_MIB.length);
    },
  );

  row(
    "row 63: a body of nothing but an end is one empty message, in every mode",
    {
      scenes: {
        buffered: ended("BUFFERED"),
        partial: ended("BUFFERED_PARTIAL"),
        streamed: ended("STREAMED"),
      },
    },
    async (scenes) => {
      for (const scene of Object.values(scenes)) {
        const request = scene.open({ method: "POST", headers: { "transfer-encoding": "chunked" } });
        request.end();
        expect((await request.outcome).status).toBe(200);
        const bodies = (await scene.server.call(0)).received.flatMap(({ request: { case: kind, value } }) =>
          kind === "requestBody" ? [value] : [],
        );
        expect(bodies.map(({ body, endOfStream }) => [body.length, endOfStream])).toEqual([[0, true]]);
      }
    },
  );

  row(
    "row 64: continueAndReplace turns a GET into a POST with a body, and nothing more comes of the request",
    {
      scenes: {
        replaced: {
          server: served(
            defineProcessor({
              name: "replacer",
              requestHeaders: () => [setHeader(":method", "POST"), continueAndReplace("body")],
            }),
            { envoy: { mutationRules: { allowAllRouting: true } } },
          ),
          filter: { processing_mode: BUFFERED },
        },
      },
    },
    async ({ replaced }) => {
      expect((await replaced.send()).status).toBe(200);
      expect(replaced.upstream[0]).toMatchObject({ method: "POST", body: "body", end: "complete" });
    },
  );

  row(
    "row 65: continueAndReplace gives the client another body, whatever the upstream's length was",
    {
      scenes: {
        replaced: {
          server: served(
            defineProcessor({
              name: "replacer",
              responseHeaders: () => continueAndReplace("quite another, and longer body"),
            }),
          ),
          filter: { processing_mode: BUFFERED },
        },
      },
    },
    async ({ replaced }) => {
      expect(await replaced.send()).toMatchObject({
        status: 200,
        body: "quite another, and longer body",
        complete: true,
      });
    },
  );

  row(
    "row 66: a body mutation in an answer to headers that only continues is ignored",
    {
      scenes: {
        ignored: {
          server: scripted(
            on("requestHeaders", {
              send: { requestHeaders: { response: { bodyMutation: { body: "new" } } } } as never,
            }),
          ),
        },
      },
    },
    async ({ ignored }) => {
      expect((await ignored.send(POST)).status).toBe(200);
      expect(ignored.upstream[0]?.body).toBe(POST.body);
    },
  );
});
