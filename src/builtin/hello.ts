import { defineProcessor, type Processor } from "../processor/definition.ts";
import { setHeader } from "../processor/effects.ts";

/**
 * The processor that runs if none is named. It shows that Envoy sends messages and that the answers take effect.
 * Requests get `x-ext-proc-header: hello-to-asm`, responses `x-ext-proc-header: hello-from-asm`. Bodies and trailers
 * pass unchanged.
 */
export const hello: Processor = defineProcessor({
  name: "hello",
  requestHeaders: () => setHeader("x-ext-proc-header", "hello-to-asm"),
  responseHeaders: () => setHeader("x-ext-proc-header", "hello-from-asm"),
});
