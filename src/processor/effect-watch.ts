/** Hears of effects that are made and of what handlers return. For simulations and debugging only. */
export interface EffectWatch {
  made(effect: object): void;
  returned(outcome: unknown): void;
}

/** The watch in force. Undefined unless a simulation runs: then each effect costs one look at this field. */
export const effectWatch: { current: EffectWatch | undefined } = { current: undefined };
