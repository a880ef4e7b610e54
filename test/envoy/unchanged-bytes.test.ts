import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defineProcessor, header, lines, replaceJson, replaceText, setHeader, setPath } from "../../src/index.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { eventually } from "./rows/eventually.ts";
import { type RunningScenes, type Scene, type SceneInit, startScenes } from "./rows/scene.ts";
import { type ServedScene, served } from "./rows/served.ts";

/** Every byte that a header value may have beyond ASCII, and UTF-8 between them. */
const BYTES = `${Array.from({ length: 128 }, (_, at) => String.fromCharCode(0x80 + at)).join("")} \xc3\xa9 \xe2\x86`;

const copying = defineProcessor({
  name: "copying",
  requestHeaders: (message, tx) => [
    setHeader("x-copy", header(message, "x-in") ?? ""),
    setHeader("x-longer", `<${tx.request.get("x-in")}>`),
    setPath(`${tx.request.path}?more`),
  ],
  responseHeaders: (message) => setHeader("x-copy", header(message, "x-in") ?? ""),
});
const writing = defineProcessor({
  name: "writing",
  requestBody: { read: "text", handle: (text) => replaceText(`${text}!`) },
  responseBody: { read: "json", handle: (value) => replaceJson({ ...(value as object), seen: true }) },
});
const arrow = defineProcessor({
  name: "arrow",
  responseBody: { read: "text", handle: (text) => replaceText(`${text} →`) },
});
/** Holds back a last line that nothing ends. */
const numbering = defineProcessor({
  name: "numbering",
  onFault: "closed",
  responseBody: {
    read: "stream",
    async *handle(chunks) {
      for await (const line of lines(chunks)) yield line.withText(line.text.toUpperCase());
    },
  },
});

const BUFFERED = { processing_mode: { request_body_mode: "BUFFERED", response_body_mode: "BUFFERED" } };
const STREAMED = { processing_mode: { response_body_mode: "STREAMED" } };

function trailed(text: string): NonNullable<SceneInit["respond"]> {
  return (response) => {
    response.writeHead(200, { trailer: "x-end", "transfer-encoding": "chunked" });
    response.write(text);
    response.addTrailers({ "x-end": "1" });
    response.end();
  };
}

const INITS = {
  headers: {
    server: served(copying),
    respond: (response) => {
      response.writeHead(200, { "x-in": BYTES });
      response.end();
    },
  },
  bodies: {
    server: served(writing),
    filter: BUFFERED,
    respond: (response) => {
      response.setHeader("content-type", "application/json; charset=iso-8859-1");
      response.end(Buffer.from('{"id":12345678901234567890,"p":1.10,"e":1e400,"name":"caf\xe9"}', "latin1"));
    },
  },
  relabelled: {
    server: served(arrow),
    filter: BUFFERED,
    respond: (response) => {
      response.setHeader("content-type", "text/plain; charset=iso-8859-1");
      response.end(Buffer.from("caf\xe9", "latin1"));
    },
  },
  lostTail: { server: served(numbering), filter: STREAMED, respond: trailed("one line") },
  emptyTail: { server: served(numbering), filter: STREAMED, respond: trailed("one line\n") },
  seenTail: {
    server: served(numbering),
    filter: { processing_mode: { response_body_mode: "STREAMED", response_trailer_mode: "SEND" } },
    respond: trailed("one line"),
  },
} as const satisfies Record<string, SceneInit<ServedScene>>;

describe.skipIf(envoyBinary === undefined)("what a handler does not change, behind a real Envoy", () => {
  let scenes: RunningScenes;

  beforeAll(async () => {
    scenes = await startScenes(new Map<string, SceneInit>(Object.entries(INITS)));
  });

  afterAll(() => scenes?.stop());

  function scene(name: keyof typeof INITS): Scene<ServedScene> {
    return scenes.scenes.get(name) as Scene<ServedScene>;
  }

  test("a header value keeps every byte when it is copied, on the request and on the response", async () => {
    const { status, headers } = await scene("headers").send({ headers: { "x-in": BYTES } });
    expect(status).toBe(200);
    expect(scene("headers").upstream[0]?.headers).toMatchObject({ "x-copy": BYTES, "x-longer": `<${BYTES}>` });
    expect(scene("headers").upstream[0]?.path).toBe("/?more");
    expect(headers["x-copy"]).toBe(BYTES);
  });

  test("a body in latin1 stays in latin1, and JSON keeps its digits", async () => {
    const headers = { "content-type": "text/plain; charset=iso-8859-1" };
    const { status, body } = await scene("bodies").send({ method: "POST", headers, body: "caf\xe9" });
    expect(status).toBe(200);
    expect(scene("bodies").upstream[0]).toMatchObject({ body: "caf\xe9!", headers });
    expect(body).toBe('{"id":12345678901234567890,"p":1.10,"e":1e400,"name":"caf\xe9","seen":true}');
  });

  test("a text that has no form in latin1 leaves in UTF-8, and content-type says so", async () => {
    const { body, headers } = await scene("relabelled").send();
    expect(Buffer.from(body, "latin1").toString()).toBe("café →");
    expect(headers["content-type"]).toBe("text/plain; charset=utf-8");
  });

  test("a tail that trailers hide in STREAMED with SKIP is lost, and counted as bytes_lost", async () => {
    const { status, body, complete } = await scene("lostTail").send();
    expect({ status, body, complete }).toEqual({ status: 200, body: "", complete: true });
    const { server } = scene("lostTail");
    const sample =
      'ext_proc_fault_outcomes_total{code="tail_undeliverable",source="handler",processor="numbering",outcome="bytes_lost",origin="envoy"}';
    await eventually(async () => expect(await server.metric(sample)).toBe(1));
    expect(server.logText()).toContain("bytes_lost");
  });

  test("an empty tail is not a fault when trailers hide the end", async () => {
    const { status, body } = await scene("emptyTail").send();
    expect([status, body]).toEqual([200, "ONE LINE\n"]);
    const { server } = scene("emptyTail");
    await eventually(async () =>
      expect(await server.metric('ext_proc_streams_total{result="completed",origin="envoy"}')).toBe(1),
    );
    expect(await server.metric('ext_proc_faults_total{code="tail_undeliverable",origin="envoy"}')).toBe(0);
  });

  test("a tail that trailers leave no place for is not passed off as complete where they are sent", async () => {
    const { status } = await scene("seenTail").send();
    expect(status).toBe(500);
    const { server } = scene("seenTail");
    await eventually(async () =>
      expect(await server.metric('ext_proc_faults_total{code="tail_undeliverable",origin="envoy"}')).toBe(1),
    );
  });
});
