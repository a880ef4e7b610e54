import { createSseSplitter, defineProcessor, setDynamicMetadata } from "ext-proc";

/** The token counts of one answer of a language model. */
class Usage {
  events = createSseSplitter();
  chunks = 0;
  /** @type {{ prompt: number, completion: number } | undefined} */
  told = undefined;

  /** @param {readonly import("ext-proc").ServerSentEvent[]} events */
  add(events) {
    // If the body ends in the middle of an event, that event does not count.
    for (const { json, complete } of events) if (complete) this.#read(json);
  }

  /** @param {unknown} json */
  #read(json) {
    const { choices, usage } = /** @type {{ choices?: unknown, usage?: Record<string, unknown> | null }} */ (
      json ?? {}
    );
    if (Array.isArray(choices) && choices.length > 0) this.chunks++;
    if (typeof usage?.prompt_tokens !== "number" || typeof usage.completion_tokens !== "number") return;
    this.told = { prompt: usage.prompt_tokens, completion: usage.completion_tokens };
  }

  /** Counts events if the upstream sends no `usage`: most such upstreams send one token with each event. */
  summary() {
    return { ...(this.told ?? { completion: this.chunks }), estimated: this.told === undefined };
  }
}

export default defineProcessor({
  name: "count-tokens",
  onFault: "open",
  state: () => new Usage(),
  responseBody: {
    read: "inspect",
    when: (tx) => tx.response?.get("content-type")?.startsWith("text/event-stream"),
    chunk: (bytes, { state }) => state.add(state.events.push(bytes)),
    end({ state }) {
      state.add(state.events.end());
      return setDynamicMetadata("llm", state.summary());
    },
  },
});
