import { addHeaderIfAbsent, appendHeader, defineProcessor, setHeader } from "ext-proc";

export default defineProcessor({
  name: "add-header",
  requestHeaders: () => [
    // Whatever a client sends under this name, the upstream gets this value and no other.
    setHeader("x-client-region", "eu"),
    // A client's own choice is kept.
    addHeaderIfAbsent("accept-language", "en"),
  ],
  // One more value, in addition to those that the upstream sent.
  responseHeaders: () => appendHeader("vary", "accept-language"),
});
