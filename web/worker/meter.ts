// How a worker spends its time: at work, or waiting for other workers and for the coordinator; and how much of the time
// that sites exchange is hidden behind work.

import type { Times } from "../../core/protocol/control.ts";

export class Meter {
  readonly #now: () => number;
  #began: number;
  #waited = 0;
  /** Waits under way: while there are several, time passes once. */
  #waits = 0;
  #waitsSince = 0;
  #exchanging = 0;
  #exposed = 0;

  /** @param now milliseconds, of a clock that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#began = now();
  }

  /** Waits for something that others must do first. It counts from when the GPU has nothing left to do: `idle`. */
  async wait<T>(for_: Promise<T>, idle?: Promise<unknown>): Promise<T> {
    const wait = { begun: false, over: false };
    const begin = () => {
      if (wait.over) return;
      wait.begun = true;
      if (this.#waits++ === 0) this.#waitsSince = this.#now();
    };
    if (idle) idle.then(begin, begin);
    else begin();
    try {
      return await for_;
    } finally {
      wait.over = true;
      if (wait.begun && --this.#waits === 0) this.#waited += this.#now() - this.#waitsSince;
    }
  }

  /** Whether something is waited for, and nothing is done meanwhile. */
  get isWaiting(): boolean {
    return this.#waits > 0;
  }

  /** Waits for the end of an exchange with other sites. */
  async waitForExchange<T>(end: Promise<T>): Promise<T> {
    const began = this.#now();
    try {
      return await this.wait(end);
    } finally {
      this.#exposed += this.#now() - began;
    }
  }

  /** An exchange with other sites goes on until `end` is settled. */
  async exchange<T>(end: Promise<T>): Promise<T> {
    const began = this.#now();
    try {
      return await end;
    } finally {
      this.#exchanging += this.#now() - began;
    }
  }

  /** Nothing was to be done for so long, in milliseconds: the coordinator's word was waited for. */
  idle(milliseconds: number): void {
    this.#waited += milliseconds;
  }

  /** Seconds not waited since the times were last taken. */
  get atWork(): number {
    return (this.#now() - this.#began - this.#waited) / 1000;
  }

  /** The times since the last call. */
  take(): Times {
    const now = this.#now();
    const seconds = (milliseconds: number) => milliseconds / 1000;
    const times = {
      passed: seconds(now - this.#began),
      waited: seconds(this.#waited),
      exchanging: seconds(this.#exchanging),
      exposed: seconds(this.#exposed),
    };
    this.#began = now;
    this.#waited = this.#exchanging = this.#exposed = 0;
    return times;
  }
}
