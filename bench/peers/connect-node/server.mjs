// The bench's tasks on Connect for Node: its router over node:http2, as its documentation starts one.
import { createServer } from "node:http2";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ExternalProcessor } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { answerOf } from "../messages/answer.mjs";

const answer = answerOf(process.argv[2]);

const server = createServer(
  connectNodeAdapter({
    routes(router) {
      router.service(ExternalProcessor, {
        async *process(messages) {
          for await (const message of messages) yield answer(message);
        },
      });
    },
  }),
);
server.listen(0, "127.0.0.1", () => {
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  process.stdout.write(`listening on 127.0.0.1:${address.port}\n`);
});
