// Makes a worker as slow as it was told to be: what it computes is really computed, and then slept over until a device
// of that speed would be done. Virtual time is kept in one clock, so that sleeps which end late do not add up.
// Not here: how much there is to compute (core/plan/work.ts).

/** A device that does one thing after the other at a fixed speed. Times in ms. */
export class VirtualClock {
  #flopsPerMs: number;
  /** When it is through with all it was given. */
  #free: number;

  constructor(flopsPerSecond: number, start: number) {
    this.#flopsPerMs = flopsPerSecond / 1000;
    this.#free = start;
  }

  /** From now on. */
  set flopsPerSecond(speed: number) {
    this.#flopsPerMs = speed / 1000;
  }

  /** What comes next could not be begun before. */
  notBefore(time: number): void {
    this.#free = Math.max(this.#free, time);
  }

  /** Gives it work; when it will be done. */
  work(flops: number): number {
    this.#free += flops / this.#flopsPerMs;
    return this.#free;
  }
}

/** Input that took longer to come was not there yet; what took less was only unpacked. */
const WAITED_MS = 1;
/** The GPU is judged by this much of its own time, twice: at first it still compiles. */
const JUDGED_MS = 1000;
const TOLERANCE = 1.05;

export interface PacerOptions {
  /** GFLOP/s. */
  readonly pace: number;
  /** The GPU itself is slower than that: the share of the pace that it reaches. Once. */
  readonly onBehind: (share: number) => void;
  /** ms, of a clock that never goes back. */
  readonly now?: () => number;
  readonly sleep?: (ms: number) => Promise<void>;
}

export class Pacer {
  readonly #clock: VirtualClock;
  #flopsPerMs: number;
  readonly #onBehind: (share: number) => void;
  readonly #now: () => number;
  readonly #sleep: (ms: number) => Promise<void>;
  /** Since it was last judged: what the GPU took, and what it might have taken; ms. */
  #real = 0;
  #allowed = 0;
  /** Times in a row that it was too slow. */
  #tooSlow = 0;

  constructor({ pace, onBehind, now = () => performance.now(), sleep = sleepFor }: PacerOptions) {
    this.#clock = new VirtualClock(pace * 1e9, now());
    this.#flopsPerMs = pace * 1e6;
    this.#onBehind = onBehind;
    this.#now = now;
    this.#sleep = sleep;
  }

  /** GFLOP/s, from now on. */
  set pace(pace: number) {
    this.#clock.flopsPerSecond = pace * 1e9;
    this.#flopsPerMs = pace * 1e6;
  }

  /** There was nothing to do until now. */
  begin(): void {
    this.#clock.notBefore(this.#now());
  }

  /** Waits for what the next work needs. */
  async input<T>(arrival: Promise<T>): Promise<T> {
    const asked = this.#now();
    const input = await arrival;
    if (this.#now() - asked > WAITED_MS) this.begin();
    return input;
  }

  /** Resolves when the GPU has done what it was just told, and a device of the pace would have. */
  async spend(flops: number, done: Promise<void>): Promise<void> {
    const began = this.#now();
    await done;
    this.#judge(this.#now() - began, flops / this.#flopsPerMs);
    const end = this.#clock.work(flops);
    // A timer may end early by a fraction.
    for (let left; (left = end - this.#now()) > 0;) await this.#sleep(left);
  }

  #judge(real: number, allowed: number): void {
    this.#real += real;
    this.#allowed += allowed;
    if (this.#real < JUDGED_MS) return;
    this.#tooSlow = this.#real > TOLERANCE * this.#allowed ? this.#tooSlow + 1 : 0;
    if (this.#tooSlow === 2) this.#onBehind(this.#allowed / this.#real);
    this.#real = this.#allowed = 0;
  }
}

function sleepFor(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
