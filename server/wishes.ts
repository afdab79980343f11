// What is asked of a run from outside and carried out between two steps: to stop, to change to another plan, to pause.
// Not here: carrying it out (run.ts).

export class Wishes {
  #end: "stop" | "replan" | null = null;
  #pause: { readonly over: Promise<void>; readonly resume: () => void } | null = null;

  get stops(): boolean {
    return this.#end === "stop";
  }

  get replans(): boolean {
    return this.#end === "replan";
  }

  get pauses(): boolean {
    return this.#pause !== null;
  }

  /** Whether the generation is to end. */
  get ends(): boolean {
    return this.#end !== null;
  }

  stop(): void {
    this.#end = "stop";
  }

  replan(): void {
    this.#end ??= "replan";
  }

  /** Another plan is made now. */
  planned(): void {
    if (this.replans) this.#end = null;
  }

  /** Whether that changes anything. */
  pause(wanted: boolean): boolean {
    if (wanted === this.pauses) return false;
    this.#pause?.resume();
    let resume = () => {};
    const over = new Promise<void>((resolve) => (resume = resolve));
    this.#pause = wanted ? { over, resume } : null;
    return true;
  }

  /** Resolves when there is no pause, or it is over. */
  async resumed(): Promise<void> {
    await this.#pause?.over;
  }
}
