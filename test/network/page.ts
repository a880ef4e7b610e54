import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** What a page may load: libraries as npm has them, and generated messages. */
const SERVED = ["node_modules/@connectrpc/", "node_modules/@bufbuild/protobuf/", "gen/"];
const LIBRARIES = {
  "@connectrpc/connect": "connect/dist/esm/index.js",
  "@connectrpc/connect/protocol": "connect/dist/esm/protocol/index.js",
  "@connectrpc/connect/protocol-connect": "connect/dist/esm/protocol-connect/index.js",
  "@connectrpc/connect/protocol-grpc-web": "connect/dist/esm/protocol-grpc-web/index.js",
  "@connectrpc/connect-web": "connect-web/dist/esm/index.js",
};
const PROTOBUF = {
  "@bufbuild/protobuf": "/node_modules/@bufbuild/protobuf/dist/esm/index.js",
  "@bufbuild/protobuf/codegenv2": "/node_modules/@bufbuild/protobuf/dist/esm/codegenv2/index.js",
  "@bufbuild/protobuf/wire": "/node_modules/@bufbuild/protobuf/dist/esm/wire/index.js",
  "@bufbuild/protobuf/wkt": "/node_modules/@bufbuild/protobuf/dist/esm/wkt/index.js",
};
const imports = {
  ...PROTOBUF,
  ...Object.fromEntries(Object.entries(LIBRARIES).map(([name, file]) => [name, `/node_modules/@connectrpc/${file}`])),
};
const HTML = `<!doctype html><title>console</title><script type="importmap">${JSON.stringify({ imports })}</script>`;

/** Serves an empty page whose scripts may import Connect and the generated messages. Gives its origin. */
export async function servePage(): Promise<string> {
  const server = createServer(async ({ url = "/" }, response) => {
    const path = normalize(decodeURIComponent(url)).slice(1);
    if (path === "") {
      response.writeHead(200, { "content-type": "text/html" }).end(HTML);
      return;
    }
    const file = SERVED.some((folder) => path.startsWith(folder)) && extname(path) === ".js";
    const text = file ? await readFile(join(ROOT, path)).catch(() => undefined) : undefined;
    response.writeHead(text ? 200 : 404, { "content-type": "text/javascript" }).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}
