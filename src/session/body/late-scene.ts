import type { StreamBudget } from "../../memory/body-budget.ts";
import type { BodyScene } from "./stage-host.ts";

/** A scene that is there only once it is known what is to be played. */
export class LateScene implements BodyScene {
  scene: BodyScene | undefined;

  get work(): BodyScene["work"] {
    return this.#there.work;
  }

  get takesHeaderChanges(): boolean {
    return this.#there.takesHeaderChanges;
  }

  get budget(): StreamBudget {
    return this.#there.budget;
  }

  get messageCompressed(): boolean {
    return this.#there.messageCompressed;
  }

  get closed(): boolean {
    return this.#there.closed;
  }

  pending(index: number): void {
    this.#there.pending(index);
  }

  changed(): void {
    this.#there.changed();
  }

  get #there(): BodyScene {
    if (this.scene === undefined) throw new Error("no body is under way");
    return this.scene;
  }
}
