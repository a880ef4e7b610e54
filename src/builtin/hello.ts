import { defineProcessor, type Processor } from "../processor/definition.ts";
import { setHeader } from "../processor/effects.ts";

/**
 * The processor that runs when none is named: it shows that Envoy asks and that its answers count. Requests get
 * `x-ext-proc-header: hello-to-asm`, responses `x-ext-proc-header: hello-from-asm`; bodies and trailers pass
 * untouched.
 */
export const hello: Processor = defineProcessor({
  name: "hello",
  requestHeaders: () => setHeader("x-ext-proc-header", "hello-to-asm"),
  responseHeaders: () => setHeader("x-ext-proc-header", "hello-from-asm"),
});
