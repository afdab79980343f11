// The workers of one generation, as the coordinator speaks with them: it gives an order and waits for the answer
// of each worker it concerns; a lost or failing worker ends the wait, and the generation.
import type { ClientMessage, WorkerMessage } from "../core/protocol/control.ts";
import type { WorkerPort } from "./coordinator-port.ts";

type Answer = Extract<ClientMessage, { generation: number }>;
type AnswerType = Exclude<Answer["type"], "failed">;
type AnswerOf<T extends AnswerType> = Extract<Answer, { type: T }>;
type OrderMessage = Extract<WorkerMessage, { generation: number }>;

/** A worker left, or could not do its part: the generation is over, the run is not. */
export class WorkerLost extends Error {
  override name = "WorkerLost";
}

/** The worker left of itself: nothing says that it will happen again. */
export class WorkerGone extends WorkerLost {
  override name = "WorkerGone";
}

/** The run cannot go on, whoever takes part. */
export class RunImpossible extends Error {
  override name = "RunImpossible";
}

/** A worker says that its GPU cannot hold what it was assigned. */
export class DoesNotFit extends RunImpossible {
  override name = "DoesNotFit";
}

interface Question {
  readonly type: AnswerType;
  readonly step: number | undefined;
  readonly missing: Set<string>;
  readonly answers: Map<string, Answer>;
  readonly resolve: (answers: Map<string, Answer>) => void;
  /** Null for a question that the generation's end does not end. */
  readonly reject: ((error: Error) => void) | null;
}

export class Cohort {
  readonly generation: number;
  readonly #members: ReadonlyMap<string, WorkerPort>;
  /** Workers that have said their last words: they may go without being missed. */
  readonly #released = new Set<string>();
  readonly #lost = new Set<string>();
  /** Workers that cannot hold what they were assigned: more may say so after the first has ended the generation. */
  readonly unfit = new Set<string>();
  /** Asked and not yet answered by all; no two of one type and step concern the same worker. */
  readonly #questions = new Set<Question>();
  #end: Error | null = null;
  readonly #ended: Promise<never>;
  #break!: (error: Error) => void;

  constructor(generation: number, members: readonly WorkerPort[]) {
    this.generation = generation;
    this.#members = new Map(members.map((member) => [member.id, member]));
    this.#ended = new Promise((_, reject) => (this.#break = reject));
    // Who does not wait for it is told by what is asked next.
    this.#ended.catch(() => {});
  }

  /** Whether the generation still needs the worker. */
  needs(worker: string): boolean {
    return this.#members.has(worker) && !this.#released.has(worker);
  }

  /** Whether it has been ended by a failure. */
  get isOver(): boolean {
    return this.#end !== null;
  }

  /** Whose answers are missing. */
  get owing(): WorkerPort[] {
    const missing = new Set([...this.#questions].flatMap(({ missing }) => [...missing]));
    return [...missing].map((worker) => this.port(worker));
  }

  /** Of those who still belong to it. */
  get ports(): WorkerPort[] {
    return this.workers.map((worker) => this.port(worker));
  }

  port(worker: string): WorkerPort {
    return this.#members.get(worker)!;
  }

  /** Who still belongs to it. */
  get workers(): string[] {
    return [...this.#members.keys()].filter(
      (worker) => !this.#released.has(worker) && !this.#lost.has(worker),
    );
  }

  /** Gives an order to `workers` (all unless named) that has no answer. */
  tell(order: OrderMessage, workers: readonly string[] = this.workers): void {
    for (const worker of workers) this.#members.get(worker)!.send(order);
  }

  /**
   * Gives an order to `workers` (all unless named), the same or each its own, and waits for an answer of type `type`
   * from each, of the same step where the order has one.
   * @throws WorkerLost, RunImpossible
   */
  async ask<T extends AnswerType>(
    order: OrderMessage | ((worker: string) => OrderMessage),
    type: T,
    workers: readonly string[] = this.workers,
  ): Promise<Map<string, AnswerOf<T>>> {
    if (this.#end) throw this.#end;
    const orderOf = typeof order === "function" ? order : () => order;
    return new Promise((resolve, reject) => this.#put(orderOf, type, workers, resolve, reject));
  }

  /** Waits for what is no answer. @throws what ends the generation meanwhile */
  async within<T>(wait: Promise<T>): Promise<T> {
    const result = await Promise.race([wait, this.#ended]);
    if (this.#end) throw this.#end;
    return result;
  }

  /** As `ask`, of all who are left, after the generation's end as well: who is lost meanwhile is not waited for. */
  async gather<T extends AnswerType>(order: OrderMessage, type: T): Promise<Map<string, AnswerOf<T>>> {
    const { workers } = this;
    if (workers.length === 0) return new Map();
    return new Promise((resolve) => this.#put(() => order, type, workers, resolve, null));
  }

  #put<T extends AnswerType>(
    orderOf: (worker: string) => OrderMessage,
    type: T,
    workers: readonly string[],
    resolve: (answers: Map<string, AnswerOf<T>>) => void,
    reject: ((error: Error) => void) | null,
  ): void {
    const first = orderOf(workers[0]!);
    this.#questions.add({
      type,
      step: "step" in first ? first.step : undefined,
      missing: new Set(workers),
      answers: new Map(),
      resolve: resolve as Question["resolve"],
      reject,
    });
    for (const worker of workers) this.#members.get(worker)!.send(orderOf(worker));
  }

  /** Takes a worker's answer; one of another generation, or that nobody waits for, is dropped. */
  deliver(worker: string, answer: Answer): void {
    if (answer.generation !== this.generation || !this.#members.has(worker)) return;
    if (answer.type === "failed") {
      if (answer.fatal) this.unfit.add(worker);
      // Links go down while a generation is released; each worker's last word comes all the same.
      if (this.#released.has(worker) || this.#releasing(worker)) return;
      const reason = `worker ${worker}: ${answer.message}`;
      this.fail(answer.fatal ? new DoesNotFit(reason) : new WorkerLost(reason));
      return;
    }
    for (const question of this.#questions) {
      const { type, step, missing } = question;
      const fits = step === undefined || !("step" in answer) || answer.step === step;
      if (type !== answer.type || !fits || !missing.has(worker)) continue;
      question.answers.set(worker, answer);
      this.#settle(question, worker);
      return;
    }
  }

  /** The worker is gone. True while it is being released: then it is not missed. */
  letGo(worker: string): boolean {
    const question = this.#releasing(worker);
    if (!question) return false;
    this.#settle(question, worker);
    return true;
  }

  /** The worker is gone, and with it the generation. */
  lose(worker: string, error: WorkerLost): void {
    this.#lost.add(worker);
    for (const question of this.#questions) {
      if (!question.reject && question.missing.has(worker)) this.#settle(question, worker);
    }
    this.fail(error);
  }

  #releasing(worker: string): Question | undefined {
    return [...this.#questions].find(({ type, missing }) => type === "released" && missing.has(worker));
  }

  /** Nothing more is waited for from the worker. */
  #settle(question: Question, worker: string): void {
    question.missing.delete(worker);
    if (question.type === "released") this.#released.add(worker);
    if (question.missing.size > 0) return;
    this.#questions.delete(question);
    question.resolve(question.answers);
  }

  /** Ends the generation: what is asked now, and anything after it but `gather`, is answered with `error`. */
  fail(error: Error): void {
    this.#end ??= error;
    this.#break(this.#end);
    for (const question of this.#questions) {
      if (!question.reject) continue;
      this.#questions.delete(question);
      question.reject(this.#end);
    }
  }
}
