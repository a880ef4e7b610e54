import { addHeaderIfAbsent, appendHeader, defineProcessor, setHeader } from "ext-proc";

export default defineProcessor({
  name: "add-header",
  requestHeaders: () => [
    // The upstream gets only this value, even if a client sends the header too.
    setHeader("x-client-region", "eu"),
    // If the client sends this header, its value stays.
    addHeaderIfAbsent("accept-language", "en"),
  ],
  // Adds a value to those that the upstream sent.
  responseHeaders: () => appendHeader("vary", "accept-language"),
});
