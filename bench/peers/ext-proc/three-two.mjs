// The second task on our own public API: three headers read, two set.
import { defineProcessor, header, setHeader } from "ext-proc";

export default defineProcessor({
  name: "three-two",
  requestHeaders: (headers) => [
    setHeader("x-seen-path", header(headers, ":path") ?? ""),
    setHeader("x-seen-from", `${header(headers, "user-agent") ?? ""} ${header(headers, "x-request-id") ?? ""}`),
  ],
});
