// What a user writes: a processor, served, asked once, drained. It ends by itself.
import { create, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { compose, defineProcessor, header, immediateResponse, setHeader, type Transaction } from "ext-proc";
import { ProcessingRequestSchema, ProcessingResponseSchema } from "ext-proc/envoy";
import { ListenError, type ServeOptions, serve } from "ext-proc/server";
import { requestHeaders, type SimulatedTransaction, simulate } from "ext-proc/testing";

const greeter = defineProcessor({
  name: "greeter",
  state: () => ({ user: "" }),
  requestHeaders(headers, tx) {
    tx.state.user = header(headers, "x-user") ?? "stranger";
    return setHeader("x-greeting", `hello ${tx.state.user}`);
  },
  responseHeaders: (_headers, tx) => setHeader("x-user", tx.state.user),
});

const gate = defineProcessor({
  name: "gate",
  requestHeaders: (_headers, tx: Transaction) =>
    tx.request.path?.startsWith("/admin") ? immediateResponse(403, { json: { error: "forbidden" } }) : undefined,
});

const lines: string[] = [];
const note = (_fields: object, message: string) => lines.push(message);
const options: ServeOptions = {
  listen: "127.0.0.1:0",
  statusListen: "off",
  adminListen: "off",
  debug: "on",
  log: { info: note, warn: note, error: note },
};
const server = await serve(compose(gate, greeter), options);

const request = requestHeaders({ "x-user": "ada" });
const answer = await fetch(`http://${server.address}/extproc.debug.v1.DebugService/Process`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ requests: [toJson(ProcessingRequestSchema, request)] }),
});
const { responses } = (await answer.json()) as { responses: JsonValue[] };
const [{ response } = create(ProcessingResponseSchema)] = responses.map((json) =>
  fromJson(ProcessingResponseSchema, json),
);
const mutation = response.case === "requestHeaders" ? response.value.response?.headerMutation : undefined;
const greeting = mutation?.setHeaders[0]?.header?.rawValue;

let refusal = "";
try {
  await serve(greeter, { ...options, listen: server.address });
} catch (error) {
  if (error instanceof ListenError) refusal = error.option;
}

await server.drain();
const simulated: SimulatedTransaction = await simulate(greeter).get("/", { headers: { "x-user": "ada" } });
const started = lines.some((line) => line.startsWith("Starting gRPC server on port :"));
export const result = {
  greeting: new TextDecoder().decode(greeting),
  refusal,
  started,
  simulated: simulated.response.headers["x-user"],
};
