// The coordinator's orders to a worker, carried out one after the other, and the generation that they are for: begun by
// an assignment as soon as that comes, ended by its last order, a release or a hold, when that one's turn comes, or by the
// next assignment.
// An order is for the generation in force when it came; should that have ended by the order's turn, nothing is done.
// Not here: what is done (training.worker.ts).
import { GenerationEnded } from "./mailbox.ts";

interface Numbered {
  readonly type: string;
  readonly generation: number;
}

export interface Release extends Numbered {
  readonly type: "release";
  readonly reason: string;
}

/** The generation's state is to be kept. `interrupts`: without waiting for what is under way. */
export interface Hold extends Numbered {
  readonly type: "hold";
  readonly interrupts: boolean;
}

export interface OrderHandlers<Assign, Work, Held extends Hold, G> {
  begin(assignment: Assign): G;
  /** Its last order has come: what it waits for will not. */
  interrupt(generation: G, reason: string): void;
  /** Frees what it holds; called once. */
  end(generation: G, reason: string): void;
  carryOut(order: Assign | Work, generation: G): Promise<void>;
  /** Called instead where nothing is done. */
  missed(order: Assign | Work): void;
  /** Keeps the generation's state, in the turn of the hold, before it ends. */
  keep(order: Held, generation: G): Promise<void>;
  /** Called for every release and every hold, in its turn, with the generation that it ended. */
  over(order: Release | Held, ended: G | null): void;
  /** A generation has ended because an order could not be carried out. */
  failed(error: unknown, generation: number): void;
}

interface InForce<G> {
  readonly number: number;
  readonly generation: G;
}

export class Orders<
  Assign extends Numbered & { type: "assign" },
  Work extends Numbered,
  Held extends Hold,
  G,
> {
  readonly #handlers: OrderHandlers<Assign, Work, Held, G>;
  #inForce: InForce<G> | null = null;
  /** Settles when the orders so far are done; never rejects. */
  #done: Promise<void> = Promise.resolve();
  #undone = 0;

  constructor(handlers: OrderHandlers<Assign, Work, Held, G>) {
    this.#handlers = handlers;
  }

  get current(): G | null {
    return this.#inForce?.generation ?? null;
  }

  /** Whether an order is carried out. */
  get isBusy(): boolean {
    return this.#undone > 0;
  }

  take(order: Assign | Work | Release | Held): void {
    if (isAssign(order)) {
      this.end("a new assignment came");
      this.#inForce = { number: order.generation, generation: this.#handlers.begin(order) };
    }
    const inForce = this.#inForce?.number === order.generation ? this.#inForce : null;
    // What still waits for a frame would wait for ever, and the last order for it.
    if (inForce && isLast(order) && (isRelease(order) || order.interrupts)) {
      this.#handlers.interrupt(inForce.generation, reasonOf(order));
    }
    this.#undone++;
    this.#done = this.#done
      .then(() => this.#carryOut(order, inForce))
      .catch((error: unknown) => this.#fail(error, inForce))
      .finally(() => this.#undone--);
  }

  /** Does at once, beside the order under way, what that one may be waiting for. */
  beside(order: Numbered, work: (generation: G) => Promise<void>): void {
    const inForce = this.#inForce;
    if (inForce?.number !== order.generation) return;
    work(inForce.generation).catch((error: unknown) => this.#fail(error, inForce));
  }

  /** Ends the generation in force at once. */
  end(reason: string): void {
    const ended = this.#inForce;
    this.#inForce = null;
    if (ended) this.#handlers.end(ended.generation, reason);
  }

  /** The generation in force cannot go on. */
  fail(error: unknown): void {
    this.#fail(error, this.#inForce);
  }

  async #carryOut(order: Assign | Work | Release | Held, inForce: InForce<G> | null): Promise<void> {
    const isInForce = () => inForce !== null && inForce === this.#inForce;
    if (isLast(order)) {
      if (isInForce() && isHold(order)) await this.#handlers.keep(order, inForce!.generation);
      // A newer one may have come meanwhile: that one stays.
      const ended = isInForce() ? inForce!.generation : null;
      if (ended) this.end(reasonOf(order));
      this.#handlers.over(order, ended);
    } else if (isInForce()) await this.#handlers.carryOut(order, inForce!.generation);
    else this.#handlers.missed(order);
  }

  /** That a generation ended is no news. */
  #fail(error: unknown, failed: InForce<G> | null): void {
    if (error instanceof GenerationEnded || !failed || failed !== this.#inForce) return;
    this.end("it failed");
    this.#handlers.failed(error, failed.number);
  }
}

const isAssign = <A extends Numbered & { type: "assign" }>(order: A | Numbered): order is A =>
  order.type === "assign";
const isRelease = (order: Numbered): order is Release => order.type === "release";
const isHold = <H extends Hold>(order: H | Numbered): order is H => order.type === "hold";
const isLast = <H extends Hold>(order: H | Release | Numbered): order is H | Release =>
  isRelease(order) || isHold(order);
const reasonOf = (order: Release | Hold): string =>
  order.type === "release" ? order.reason : "the generation is over";
