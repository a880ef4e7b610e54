import { defineProcessor, type Processor, setHeader } from "../../src/index.ts";

/** A processor whose request handler answers when the test says so. */
export interface HeldProcessor {
  readonly processor: Processor;
  /** Resolves when the handler has been called. */
  readonly entered: Promise<void>;
  /** Lets every call of the handler answer. */
  release(): void;
}

export function heldProcessor(): HeldProcessor {
  let enter: () => void = () => undefined;
  let release: () => void = () => undefined;
  const entered = new Promise<void>((resolve) => {
    enter = resolve;
  });
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const processor = defineProcessor({
    name: "held",
    async requestHeaders() {
      enter();
      await released;
      return setHeader("x-held", "no more");
    },
  });
  return { processor, entered, release: () => release() };
}
