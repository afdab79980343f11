// What searches on this machine have found: the best candidate of a shape class, and candidates that are bad.
// Not here: where it is kept (web/worker/tuning-store.ts).

export interface KnownTuning {
  /** Name of the candidate to use, by the key of a shape class. */
  readonly best: Readonly<Record<string, string>>;
  /** Candidates that did not compile, computed wrong or lost the device: never tried again. */
  readonly bad: readonly string[];
  /** The candidate being tried; found when a search starts, it is what ended the one before. */
  readonly trying: string | null;
}

export const NOTHING_KNOWN: KnownTuning = { best: {}, bad: [], trying: null };

export class TuningRecord {
  readonly #best: Map<string, string>;
  readonly #bad: Set<string>;
  readonly #save: (known: KnownTuning) => Promise<void>;

  /** `save` is awaited after each change. */
  constructor(known: KnownTuning, save: (known: KnownTuning) => Promise<void>) {
    this.#best = new Map(Object.entries(known.best));
    this.#bad = new Set(known.bad);
    if (known.trying !== null) this.#bad.add(known.trying);
    this.#save = save;
  }

  best(shapeClass: string): string | undefined {
    return this.#best.get(shapeClass);
  }

  isBad(candidate: string): boolean {
    return this.#bad.has(candidate);
  }

  /** Before a candidate first runs. */
  trying(candidate: string): Promise<void> {
    return this.#keep(candidate);
  }

  /** After it ran, well or not. */
  done(candidate: string, good: boolean): Promise<void> {
    if (!good) this.#bad.add(candidate);
    return this.#keep(null);
  }

  settle(shapeClass: string, best: string): Promise<void> {
    this.#best.set(shapeClass, best);
    return this.#keep(null);
  }

  #keep(trying: string | null): Promise<void> {
    return this.#save({ best: Object.fromEntries(this.#best), bad: [...this.#bad], trying });
  }
}
