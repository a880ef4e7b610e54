import { defineProcessor, header, immediateResponse, setHeader } from "ext-proc";

export default defineProcessor({
  name: "greeter",
  requestHeaders(headers, tx) {
    if (tx.request.path === "/ping") return immediateResponse(200, { text: "pong\n" });
    return setHeader("x-greeting", `hello ${header(headers, "x-user") ?? "stranger"}`);
  },
  responseHeaders: () => setHeader("x-served-by", "ext-proc"),
});
