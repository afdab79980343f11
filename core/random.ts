// Small deterministic random numbers from integer arithmetic only, so that every browser and Node agree bit
// for bit. Not for secrets.

/** 32-bit FNV-1a of the text's UTF-16 code units, mixed once more so that similar texts differ everywhere. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** The 32-bit finalizer of MurmurHash3: a bijection whose output bits each depend on every input bit. */
function mix(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** A Weyl sequence put through `mix`: period 2^32, one integer of state. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Uniform 32-bit unsigned integer. */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    return mix(this.#state);
  }

  /** Uniform in [0, 1), 32 bits of resolution. */
  unit(): number {
    return this.next() / 0x100000000;
  }

  /** Uniform integer in [0, n); n up to 2^53. The bias is below n / 2^53. */
  below(n: number): number {
    const high = this.next() >>> 5;
    const low = this.next() >>> 6;
    return Math.floor(((high * 0x4000000 + low) / 0x20000000000000) * n);
  }
}
