// Tokens a second over the last steps.

const STEPS = 10;

export class SpeedMeter {
  #steps: { tokens: number; at: number }[] = [];

  reset(): void {
    this.#steps = [];
  }

  /** Counts a step that ended now; the mean rate since up to ten steps ago, 0 until there are two. */
  add(tokens: number): number {
    this.#steps = [...this.#steps.slice(-STEPS), { tokens, at: performance.now() }];
    const [first, ...later] = this.#steps;
    const seconds = (this.#steps.at(-1)!.at - first!.at) / 1000;
    return seconds > 0 ? later.reduce((sum, step) => sum + step.tokens, 0) / seconds : 0;
  }
}
