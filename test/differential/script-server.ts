import type { EnvoySide, ExtProcServer, ServerSide } from "../../src/simulator/filter/ext-proc-server.ts";
import {
  playScript,
  SCRIPT_START,
  type Script,
  type ScriptEvent,
  type ScriptState,
  type Step,
} from "../scenarios/script.ts";

/** The scripted server for the simulator: what test/envoy/scripted-call.ts is for a real Envoy. */
export function scriptServer(script: Script): ExtProcServer {
  return {
    open(stream) {
      const call = new SimulatedCall(script, stream);
      call.play({ kind: "start" });
      return call;
    },
  };
}

class SimulatedCall implements EnvoySide {
  readonly #script: Script;
  readonly #stream: ServerSide;
  readonly #steps: Step[] = [];
  #state: ScriptState = SCRIPT_START;
  #waiting = false;
  #over = false;

  constructor(script: Script, stream: ServerSide) {
    this.#script = script;
    this.#stream = stream;
  }

  message(message: Parameters<EnvoySide["message"]>[0]): void {
    this.play({ kind: "message", message });
  }

  halfClose(): void {
    this.play({ kind: "halfClose" });
  }

  reset(): void {
    this.#over = true;
  }

  play(event: ScriptEvent): void {
    const { state, steps } = playScript(this.#script, this.#state, event);
    this.#state = state;
    this.#steps.push(...steps);
    if (!this.#waiting) this.#work();
  }

  #work(): void {
    for (let step = this.#steps.shift(); step !== undefined; step = this.#steps.shift()) {
      if (this.#over) return;
      if (step.kind === "wait") {
        this.#waiting = true;
        this.#stream.after(step.ms, () => {
          this.#waiting = false;
          this.#work();
        });
        return;
      }
      this.#take(step);
    }
  }

  #take(step: Exclude<Step, { kind: "wait" }>): void {
    const stream = this.#stream;
    switch (step.kind) {
      case "send":
        if (step.response) stream.message(step.response);
        else stream.end(13);
        return;
      case "sendRaw":
        stream.end(13);
        return;
      case "sendHeaders":
        stream.responseHeaders();
        return;
      case "end":
        this.#over = true;
        stream.end(step.code, step.message);
        return;
      case "halfClose":
        this.#over = true;
        stream.end(2, "");
        return;
      case "httpStatus":
        this.#over = true;
        stream.httpStatus(step.status);
        return;
      case "reset":
      case "disconnect":
        this.#over = true;
        stream.reset();
    }
  }
}
