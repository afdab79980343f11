// Workers of strategy `rounds` as far as their states go, for tests of what is kept when one is lost: instead of values
// each has, for a place in every part of the model, the list of what has happened to them. Frames and messages take as
// long as the test likes, in order on each way; an order waits for what it waits for on a page (web/worker/orders.ts).
import type { RunConfig } from "../../core/model/config.ts";
import { ownedSegment, parameterSpace, stageRange } from "../../core/model/parameters.ts";
import { unsaidKeepers, type Take } from "../../core/plan/moves.ts";
import { leadReplicas, positionOf } from "../../core/plan/plan.ts";
import { fragmentOf } from "../../core/plan/rounds.ts";
import type { ClientMessage, WorkerMessage } from "../../core/protocol/control.ts";
import { fakeWorker } from "./fake-workers.ts";
import type { WorkerPort } from "../../server/coordinator-port.ts";

type Order = Extract<WorkerMessage, { generation: number }>;
type Answer = Extract<ClientMessage, { generation: number }>;
type Of<T extends Order["type"]> = Extract<Order, { type: T }>;

/** What has happened to a place: "step 3" or "merge 4"; "4 a:256 b:192" of an exchange, with the sites' weights. */
export interface PlaceState {
  readonly trained: readonly string[];
  readonly agreed: readonly string[];
  readonly unsaid: readonly string[];
}

interface Begun {
  readonly order: Of<"exchange">;
  /** By place: what it comes to, once that has arrived. */
  terms: ReadonlyMap<number, string> | null;
  concluded: boolean;
}

interface Stage {
  readonly assignment: Of<"assign">;
  readonly site: string;
  readonly leads: boolean;
  /** Whether it keeps what is unsaid. */
  readonly keeps: boolean;
  readonly places: Map<number, PlaceState>;
  /** By step. */
  readonly begun: Map<number, Begun>;
  interrupted: boolean;
}

interface Held {
  readonly generation: number;
  readonly places: ReadonlyMap<number, PlaceState>;
}

const NO_BYTES = { site: {}, wide: {} };
const TIMES = { passed: 1, waited: 0, exchanging: 0, exposed: 0 };
/** Tokens of a step on one replica. */
const TOKENS = 64;
export const exchangeOf = (agreed: string): number => Number(agreed.split(" ")[0]);
const frameKey = ({ generation, step }: Order & { step: number }, place: number) =>
  `${generation} ${step} ${place}`;

export class ModelWorkers {
  readonly #deliver: (worker: string, answer: Answer) => void;
  readonly #random: (below: number) => number;
  readonly #workers = new Map<string, ModelWorker>();
  readonly #before = new Map<string, string>();
  /** Steps that a replica came to with other parameters than another of its site. */
  readonly unlike: string[] = [];
  /** Of what sites agree on: places that a worker took from another of its site, and from another site without need. */
  takenAtHome = 0;
  takenElsewhere = 0;
  /** Of each place in what was saved: the exchanges that it holds, or that are under way. */
  readonly saved: { readonly step: number; readonly place: number; readonly exchanges: number[] }[] = [];
  /** Model parts by the offset of their place. */
  readonly places: ReadonlyMap<number, { fragment: number }>;

  constructor(
    config: RunConfig,
    random: (below: number) => number,
    deliver: (worker: string, answer: Answer) => void,
  ) {
    const { strategy } = config;
    if (strategy.kind !== "rounds") throw new TypeError("only of strategy rounds");
    this.#random = random;
    this.#deliver = deliver;
    const { tensors } = parameterSpace(config.model);
    const firsts = tensors.filter(({ part }, i) => part !== tensors[i - 1]?.part);
    this.places = new Map(
      firsts.map(({ part, offset }) => [offset, { fragment: fragmentOf(part, strategy.fragments) }]),
    );
  }

  get ports(): WorkerPort[] {
    return [...this.#workers.values()].map(({ port }) => port);
  }

  get(worker: string): ModelWorker | undefined {
    return this.#workers.get(worker);
  }

  join(id: string): void {
    const worker = new ModelWorker(id, this);
    this.#workers.set(id, worker);
  }

  leave(id: string): void {
    this.#workers.delete(id);
  }

  /** A worker of the site takes what sites agree on of a place from another. */
  takes(place: number, site: string, from: string): void {
    const siteOf = (id: string) => this.get(id)!.port.site;
    const couldGive = this.ports.some(
      ({ id }) => siteOf(id) === site && this.get(id)!.held?.places.has(place),
    );
    if (siteOf(from) === site) this.takenAtHome++;
    else if (couldGive) this.takenElsewhere++;
  }

  /** A worker of a replica comes to a step with these. */
  begins(step: number, { assignment: { generation }, site, places }: Stage): void {
    for (const [place, { trained }] of places) {
      const key = `generation ${generation}, site ${site}, step ${step}, place ${place}`;
      const text = trained.join();
      if ((this.#before.get(key) ?? text) !== text) this.unlike.push(key);
      this.#before.set(key, text);
    }
  }

  /** A lead replica's worker saves what it has. */
  saves(step: number, { leads, places, begun }: Stage): void {
    if (!leads) return;
    for (const [place, { agreed }] of places) {
      const { fragment } = this.places.get(place)!;
      const underWay = [...begun.values()].filter(
        ({ order, concluded }) => !concluded && order.exchanges.some((one) => one.fragment === fragment),
      );
      const exchanges = [...agreed.map(exchangeOf), ...underWay.map(({ order }) => order.step)];
      this.saved.push({ step, place, exchanges });
    }
  }

  get random(): (below: number) => number {
    return this.#random;
  }

  /** One of the things that can happen now happens. False when nothing can. */
  happen(): boolean {
    const actions = [...this.#workers.values()].flatMap((worker) => [
      ...worker.actions(),
      ...(worker.said.length > 0 ? [() => this.#deliver(worker.port.id, worker.said.shift()!)] : []),
    ]);
    if (actions.length === 0) return false;
    actions[this.#random(actions.length)]!();
    return true;
  }
}

export class ModelWorker {
  readonly port: WorkerPort;
  readonly #all: ModelWorkers;
  /** Orders on their way, those that wait for their turn, and answers on their way. */
  readonly #told: Order[] = [];
  readonly #orders: Order[] = [];
  readonly said: Answer[] = [];
  stage: Stage | null = null;
  held: Held | null = null;
  /** What the lead replica has told of an exchange: "generation step place". */
  readonly frames = new Map<string, string>();

  constructor(id: string, all: ModelWorkers) {
    const { port } = fakeWorker(id, () => {});
    this.#all = all;
    this.port = {
      ...port,
      send: (order) => {
        if ("generation" in order) this.#told.push(order);
      },
    };
  }

  actions(): (() => void)[] {
    const actions: (() => void)[] = [];
    if (this.#told.length > 0) actions.push(() => this.#hear(this.#told.shift()!));
    const [order] = this.#orders;
    if (order && this.#isReadyFor(order)) {
      actions.push(() => {
        this.#orders.shift();
        this.#carryOut(order);
      });
    }
    for (const [step, begun] of this.stage?.begun ?? []) {
      const terms = this.#termsOf(begun.order);
      if (begun.terms || this.stage!.interrupted || !terms) continue;
      actions.push(() => {
        begun.terms = terms;
        if (this.stage!.leads) this.#tell(begun.order, terms);
        this.said.push({ type: "exchanged", generation: this.stage!.assignment.generation, step });
      });
    }
    return actions;
  }

  #hear(order: Order): void {
    // What is to be saved is saved at once.
    if (order.type === "discard") return;
    const isOurs = this.stage?.assignment.generation === order.generation;
    if (order.type === "conclude") {
      if (isOurs) this.#conclude(order.step);
      return;
    }
    if (isOurs && (order.type === "release" || (order.type === "hold" && order.interrupts))) {
      this.stage!.interrupted = true;
    }
    this.#orders.push(order);
  }

  /** Whether what the order waits for has come, or will not any more. */
  #isReadyFor(order: Order): boolean {
    const { stage } = this;
    if (order.type === "assign") return this.#sources(order).every(({ from }) => this.#all.get(from)?.held);
    if (!stage || stage.interrupted || stage.assignment.generation !== order.generation) return true;
    if (order.type === "merge") return stage.begun.get(order.step)?.concluded ?? true;
    // Kept when no exchange can be concluded any more.
    return order.type !== "hold" || [...stage.begun.values()].every(({ concluded }) => concluded);
  }

  #carryOut(order: Order): void {
    const { generation } = order;
    if (order.type === "assign") return this.#load(order);
    if (order.type === "lend") return void this.said.push({ type: "prepared", generation, stageBytes: 1 });
    if (order.type === "hold") return this.#hold(order);
    if (order.type === "release") {
      this.stage = null;
      if (this.held && this.held.generation <= generation) this.held = null;
      return void this.said.push({ type: "released", generation, bytes: NO_BYTES });
    }
    if (this.stage?.assignment.generation !== generation) return;
    switch (order.type) {
      case "step":
        if (this.held && this.held.generation < generation) this.held = null;
        this.#all.begins(order.step, this.stage);
        if (this.stage.interrupted) return;
        return void this.said.push({
          type: "ready",
          generation,
          step: order.step,
          squaredNorm: 4,
          lossSum: 2 * TOKENS,
          tokens: TOKENS,
          times: TIMES,
          bytes: NO_BYTES,
        });
      case "commit":
        this.#change([...this.stage.places.keys()], "trained", `step ${order.step}`);
        return;
      case "exchange":
        this.stage.begun.set(order.step, { order, terms: null, concluded: false });
        return;
      case "merge":
        return this.#merge(order);
      case "save": {
        this.#all.saves(order.step, this.stage);
        const shard = { hash: "0".repeat(64), bytes: 1, tensors: [] };
        return void this.said.push({ type: "saved", generation, step: order.step, shard });
      }
      case "validate":
        return void this.said.push({
          type: "validated",
          generation,
          step: order.step,
          lossSum: 1,
          tokens: 1,
        });
      case "sample":
        return void this.said.push({ type: "sampled", generation, step: order.step, tokens: [1] });
      default:
        throw new TypeError(`no worker of this model is told to ${order.type}`);
    }
  }

  #sources({ state }: Of<"assign">): readonly Take[] {
    if (state.kind === "checkpoint") throw new TypeError("sent back to a checkpoint");
    return state.kind === "workers" ? state.takes : [];
  }

  #load(assignment: Of<"assign">): void {
    const { plan, config, generation } = assignment;
    const { replica, stage } = positionOf(plan, this.port.id)!;
    const { site, stages } = plan.replicas[replica]!;
    const { first, last } = stages[stage]!;
    const own = ownedSegment(parameterSpace(config.model), stageRange(config.model, first, last));
    const isOwn = (place: number) => own.start <= place && place < own.end;
    const takes = this.#sources(assignment);
    const places = new Map<number, PlaceState>();
    for (const place of [...this.#all.places.keys()].filter(isOwn)) {
      const taken = (what: "trained" | "agreed" | "unsaid") => {
        const take = takes.find((take) => take.what === what && take.start <= place && place < take.end);
        return take ? this.#all.get(take.from)!.held!.places.get(place)![what] : [];
      };
      places.set(place, {
        trained: taken("trained"),
        agreed: taken("agreed"),
        unsaid: taken("unsaid"),
      });
    }
    for (const { what, from, start, end } of takes) {
      if (what !== "agreed" || from === this.port.id) continue;
      for (const place of places.keys())
        if (start <= place && place < end) this.#all.takes(place, site, from);
    }
    const leads = leadReplicas(plan).includes(plan.replicas[replica]!);
    const keeps = unsaidKeepers(config, plan).includes(plan.replicas[replica]!);
    this.stage = { assignment, site, leads, keeps, places, begun: new Map(), interrupted: false };
    this.said.push({ type: "prepared", generation, stageBytes: 1 });
  }

  #hold({ generation, of }: Of<"hold">): void {
    const { stage } = this;
    if (stage?.assignment.generation === generation) {
      if (generation === of) this.held = { generation, places: stage.places };
      this.stage = null;
    }
    this.said.push({ type: "held", generation, kept: this.held?.generation === of });
  }

  /** To the other replicas of the site. */
  #tell(order: Of<"exchange">, terms: ReadonlyMap<number, string>): void {
    const { assignment, site } = this.stage!;
    const others = assignment.plan.replicas.filter((replica) => replica.site === site);
    for (const { worker } of others.flatMap(({ stages }) => stages)) {
      for (const [place, term] of terms) this.#all.get(worker)?.frames.set(frameKey(order, place), term);
    }
  }

  /**
   * The sites' weights in an exchange: of a lead replica once all who hold what this worker does have begun it, of another
   * once its lead has told it.
   */
  #termsOf(order: Of<"exchange">): ReadonlyMap<number, string> | null {
    const { step, exchanges } = order;
    const { leads, assignment } = this.stage!;
    const { plan, generation } = assignment;
    const terms = new Map<number, string>();
    for (const place of this.#placesOf(exchanges.map(({ fragment }) => fragment))) {
      if (!leads) {
        const told = this.frames.get(frameKey(order, place));
        if (!told) return null;
        terms.set(place, told);
        continue;
      }
      const weights = leadReplicas(plan).map(({ site, stages }) => {
        const holder = stages
          .map(({ worker }) => this.#all.get(worker)?.stage)
          .find((stage) => stage?.assignment.generation === generation && stage.places.has(place));
        const { fragment } = this.#all.places.get(place)!;
        const term = holder?.begun.get(step)?.order.exchanges.find((one) => one.fragment === fragment);
        return term && `${site}:${term.tokens}`;
      });
      if (weights.includes(undefined)) return null;
      terms.set(place, `${step} ${weights.join(" ")}`);
    }
    return terms;
  }

  #conclude(step: number): void {
    const begun = this.stage!.begun.get(step)!;
    begun.concluded = true;
    for (const [place, term] of begun.terms!) {
      this.#change([place], "agreed", term);
      if (this.stage!.keeps) this.#change([place], "unsaid", `${step}`);
    }
  }

  #merge(order: Of<"merge">): void {
    const { interrupted, begun } = this.stage!;
    if (begun.get(order.step)?.concluded === false) return;
    begun.delete(order.step);
    this.#change(this.#placesOf(order.fragments), "trained", `merge ${order.step}`);
    const { generation, step } = order;
    if (!interrupted) this.said.push({ type: "merged", generation, step, anchors: {} });
  }

  #placesOf(fragments: readonly number[]): number[] {
    return [...this.stage!.places.keys()].filter((place) =>
      fragments.includes(this.#all.places.get(place)!.fragment),
    );
  }

  #change(places: readonly number[], what: keyof PlaceState, happened: string): void {
    for (const place of places) {
      const state = this.stage!.places.get(place)!;
      this.stage!.places.set(place, { ...state, [what]: [...state[what], happened] });
    }
  }
}
