// An upstream that reads each request to its end and answers 200. It tells its port to its parent, and ends with it.
import { createServer } from "node:http";

const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
  request.resume().once("end", () => response.writeHead(200, { "content-length": 3 }).end("ok\n"));
});
server.listen(0, "127.0.0.1", () => {
  process.send?.(/** @type {import("node:net").AddressInfo} */ (server.address()).port);
});
process.on("disconnect", () => process.exit(0));
