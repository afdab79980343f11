// The coordinator: who is connected, which run is active, what happened. It starts runs, hands the workers'
// answers to the active one, and tells viewers.
// Not here: sockets (control.ts), the course of a run (run.ts), plans (core/plan).
import { randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
import { RunConfig } from "../core/model/config.ts";
import { parameterSpace } from "../core/model/parameters.ts";
import type { WorkerSpeed } from "../core/plan/speed.ts";
import type { ClientMessage } from "../core/protocol/control.ts";
import type { History, RunEvent, Snapshot, WorkerView } from "../core/protocol/events.ts";
import type { Blobs } from "./blobs.ts";
import { EXPORTED_FILES, type Checkpoint, type Checkpoints, type ExportedFile } from "./checkpoints.ts";
import type { Coordinator, CoordinatorUpdate, WorkerPort } from "./coordinator-port.ts";
import { loadCorpus } from "./corpus.ts";
import { describeHolding } from "../core/plan/describe.ts";
import { linkSpeeds } from "../core/plan/link-speeds.ts";
import { UserError } from "./errors.ts";
import { LinkTable } from "./link-table.ts";
import { log } from "./log.ts";
import { Planning } from "./planning.ts";
import { Run, type Crew, type RunParts } from "./run.ts";
import type { Store } from "./store.ts";

const EVENTS_SHOWN = 5000;

export interface CoordinatorParts {
  readonly store: Store;
  readonly blobs: Blobs;
  readonly checkpoints: Checkpoints;
}

/** A newcomer's probe takes a second or two. */
const PROBE_MS = 5_000;
const TOGETHER_MS = 50;

interface Member {
  readonly port: WorkerPort;
  paused: boolean;
  /** Workers whose link to this one goes through the relay. */
  readonly relayed: Set<string>;
  /** The newest that it has said; null until it was measured. */
  speed: WorkerSpeed | null;
  /** Time on this machine's clock, ms. */
  readonly joined: number;
}

export class RunCoordinator implements Coordinator {
  readonly #parts: CoordinatorParts;
  readonly #members = new Map<string, Member>();
  readonly #links = new LinkTable();
  readonly #listeners = new Set<(update: CoordinatorUpdate) => void>();
  #run: Run | null = null;
  #events: RunEvent[] = [];
  #driving: Promise<void> = Promise.resolve();
  #crewChanged: (() => void) | null = null;
  #reconsidering: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(parts: CoordinatorParts) {
    this.#parts = parts;
  }

  join(port: WorkerPort): void {
    this.#members.set(port.id, {
      port,
      paused: false,
      relayed: new Set(),
      speed: null,
      joined: performance.now(),
    });
    this.#reportWorker(port, "joined");
    this.#changeCrew();
  }

  leave(worker: string, reason: string): void {
    const member = this.#members.get(worker);
    if (!member || this.#closed) return;
    this.#members.delete(worker);
    this.#links.forget(worker);
    this.#run?.lose(worker, reason);
    this.#reportWorker(member.port, `left: ${reason}`);
  }

  message(worker: string, message: ClientMessage): void {
    const member = this.#members.get(worker);
    if (!member) return;
    if ("speed" in message) member.speed = message.speed ?? member.speed;
    if (message.type === "pause") {
      member.paused = message.paused;
      this.#reportWorker(member.port, message.paused ? "paused" : "resumed");
      this.#changeCrew();
    } else if (message.type === "relayed") {
      const { peer, relayed } = message;
      if (relayed) member.relayed.add(peer);
      else member.relayed.delete(peer);
      this.#reportWorker(
        member.port,
        `reaches ${peer} ${relayed ? "only through the server" : "directly again"}`,
      );
    } else if (message.type === "behind") {
      const { pace, share } = message;
      log.warn({ worker, pace, share }, "a worker's GPU is slower than its pace");
      this.#reportWorker(
        member.port,
        `reaches ${Number((100 * share).toPrecision(2))} % of its pace of ${pace} GFLOP/s`,
      );
    } else if (message.type === "alive") {
      this.#run?.watchdog.alive(worker, message.doing);
    } else if (message.type === "speed") {
      this.#changeCrew();
      this.#changed();
    } else if ("generation" in message) {
      if (message.type === "ready" && message.generation === this.#run?.generation) {
        this.#takeLinks(worker, message);
      }
      this.#run?.deliver(worker, message);
    }
  }

  async start(config: RunConfig): Promise<string> {
    if (this.#active) {
      throw new UserError(`run ${this.#run!.id} is active: stop it first (tributary stop ${this.#run!.id})`);
    }
    const id = `${config.name}-${randomBytes(3).toString("hex")}`;
    const [corpus, start] = await Promise.all([
      loadCorpus(config, this.#parts.blobs),
      config.init ? this.#initial(config, config.init, id) : null,
    ]);
    const number = await this.#parts.store.createRun({ id, config });
    this.#drive({ id, number, config, corpus, start }, []);
    return id;
  }

  /**
   * Goes on with the run that the server was in when it ended, if there is one, from its latest checkpoint. What it counts
   * (bytes, time at work) it counts from here on.
   */
  async goOn(): Promise<void> {
    const { store, blobs, checkpoints } = this.#parts;
    const left = await store.unfinished();
    if (!left) return;
    const { id, number, status } = left;
    const events = await store.events(id);
    try {
      const config = RunConfig.parse(left.config);
      const own = await checkpoints.latest(id);
      const start = own ?? (config.init ? await this.#initial(config, config.init, id) : null);
      this.#drive({ id, number, config, corpus: await loadCorpus(config, blobs), start }, events);
    } catch (error) {
      // What it needs is not there any more.
      const message = `the server was started again, but the run cannot go on: ${(error as Error).message}`;
      log.error({ run: id, error }, "the run cannot go on");
      await store.addEvent(id, { event: "failed", message, cause: "failure" });
      await store.updateRun(id, { status: "failed", step: left.step, checkpoint: left.checkpoint });
      return;
    }
    const { step } = this.#run!;
    this.#emit(id, { event: "recovered", step, generation: 1, reason: "the server was started again" });
    if (status === "paused") this.pause(id);
  }

  async stop(run: string): Promise<void> {
    this.#activeRun(run).stop();
    this.#crewChanged?.();
    await this.#driving;
  }

  pause(run: string): void {
    this.#activeRun(run).setPaused(true);
  }

  resume(run: string): void {
    this.#activeRun(run).setPaused(false);
  }

  snapshot(): Snapshot {
    const run = this.#run;
    return {
      workers: [...this.#members.values()].map((member) => this.#workerView(member)),
      run: run && {
        id: run.id,
        config: run.config,
        status: run.status,
        step: run.step,
        siteBytesBy: run.tally.bytesBy("site"),
        wideBytesBy: run.tally.bytesBy("wide"),
        byWorker: run.tally.byWorker(),
        computing: run.tally.computing,
        overlapped: run.tally.overlapped,
        checkpoint: run.checkpoint?.id ?? null,
      },
    };
  }

  /** The server ends, and what happens to workers from now on does not matter: a run goes on with the next server. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#reconsidering);
    this.#run?.watchdog.stop();
  }

  /** Whether the run under way links the two. */
  linked(worker: string, other: string): boolean {
    const links = this.#active ? this.#run!.links : [];
    const [a, b] = [worker, other].sort();
    return links.some((link) => link.initiator === a && link.other === b);
  }

  history(): History {
    return { run: this.#run?.id ?? null, events: this.#events };
  }

  subscribe(listener: (update: CoordinatorUpdate) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async exportFile(run: string, name: string): Promise<Uint8Array | null> {
    const file = EXPORTED_FILES.find((known) => known === name) as ExportedFile | undefined;
    if (!file) return null;
    return this.#parts.checkpoints.exportFile(await this.#parts.checkpoints.find(run), file);
  }

  #drive(
    of: Pick<RunParts, "id" | "number" | "config" | "corpus" | "start">,
    events: readonly RunEvent[],
  ): void {
    const { id, config } = of;
    this.#links.beginRun();
    this.#events = events.slice(-EVENTS_SHOWN);
    this.#run = new Run({
      ...of,
      planning: new Planning(config),
      checkpoints: this.#parts.checkpoints,
      crew: () => this.#readyCrew(),
      someCrew: () => this.#someCrew(),
      emit: (event) => this.#emit(id, event),
      changed: () => this.#changed(),
    });
    if (events.length === 0) {
      this.#emit(id, { event: "started", run: id, parameters: parameterSpace(config.model).parameters });
    }
    this.#driving = this.#run.drive();
  }

  get #active(): boolean {
    return this.#run !== null && !["done", "stopped", "failed"].includes(this.#run.status);
  }

  #activeRun(id: string): Run {
    if (this.#active && this.#run!.id === id) return this.#run!;
    const active = this.#active ? `the active run is ${this.#run!.id}` : "no run is active";
    throw new UserError(`run ${id} is not active: ${active}`);
  }

  /**
   * Where `init` says to start: a checkpoint here, or a Hugging Face directory on this machine, which is taken in once and
   * may be gone when the run goes on.
   */
  async #initial(config: RunConfig, init: string, id: string): Promise<Checkpoint> {
    const { checkpoints } = this.#parts;
    const isDirectory = (await stat(init).catch(() => null))?.isDirectory() ?? false;
    const imported = `${id}-init`;
    const found =
      (await checkpoints.find(imported).catch(() => null)) ??
      (isDirectory
        ? await checkpoints.importDirectory(init, imported)
        : await checkpoints.find(init).catch(() => {
            throw new UserError(`init: no checkpoint, run or directory '${init}'`);
          }));
    for (const key of Object.keys(config.model) as (keyof RunConfig["model"])[]) {
      // A shorter context than the model was trained with is a choice, not a mistake.
      const fits =
        key === "context"
          ? config.model.context <= found.model.context
          : config.model[key] === found.model[key];
      if (!fits) {
        throw new UserError(
          `init: '${init}' has model.${key} ${found.model[key]}, the configuration says ${config.model[key]}`,
        );
      }
    }
    return { ...found, run: null, optimizer: false };
  }

  /** Workers that may take part now, by site in order of their names. */
  #readyCrew(): Crew {
    const members = [...this.#members.values()].filter(({ paused }) => !paused);
    const ready = members.map(({ port }) => port).sort(byJoinOrder);
    const sites = sitesOf(ready);
    const everyone = sitesOf([...this.#members.values()].map(({ port }) => port));
    const workers = new Map(members.flatMap(({ port, speed }) => (speed ? [[port.id, speed] as const] : [])));
    return {
      sites,
      ports: new Map(ready.map((port) => [port.id, port])),
      measured: { workers, ...linkSpeeds(everyone, this.#links.all()) },
    };
  }

  /** The same, once there is one, and newcomers have had the time to find out how fast they are. */
  async #someCrew(): Promise<Crew> {
    for (;;) {
      const crew = this.#readyCrew();
      const probing = this.#probingUntil() - performance.now();
      if (this.#run!.stopping || (crew.ports.size > 0 && probing <= 0)) return crew;
      let late: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#crewChanged = resolve;
        if (crew.ports.size > 0) late = setTimeout(resolve, probing);
      });
      clearTimeout(late);
      this.#crewChanged = null;
    }
  }

  /** When the last of those that may take part is given up to say its speed before a run begins. */
  #probingUntil(): number {
    const silent = [...this.#members.values()].filter(({ paused, speed }) => !paused && !speed);
    return Math.max(0, ...silent.map(({ joined }) => joined + PROBE_MS));
  }

  /** Someone came, or paused, or came back, or has found out how fast it is. */
  #changeCrew(): void {
    this.#crewChanged?.();
    // Many may come at once: they are planned for together.
    clearTimeout(this.#reconsidering);
    this.#reconsidering = setTimeout(() => {
      if (this.#active) this.#run!.reconsider("members");
    }, TOGETHER_MS).unref();
  }

  #takeLinks(worker: string, { generation, links = [] }: Extract<ClientMessage, { type: "ready" }>): void {
    this.#links.take(
      worker,
      generation,
      links.filter(({ peer }) => this.#members.has(peer)),
    );
  }

  #workerView({ port, paused, relayed, speed }: Member): WorkerView {
    const { id, site, name, gpu } = port;
    const run = this.#active ? this.#run : null;
    const holds = run?.plan ? describeHolding(run.config, run.plan, id) : "";
    const state = paused ? "paused" : !run ? "idle" : holds ? run.status : "spare";
    const { description, vendor, browser } = gpu;
    return {
      id,
      site,
      name,
      gpu: description || vendor,
      browser,
      speed,
      state,
      holds,
      relayed: [...relayed],
      links: this.#links.of(id),
    };
  }

  #reportWorker({ id, site }: WorkerPort, state: string): void {
    if (this.#active) this.#emit(this.#run!.id, { event: "worker", worker: id, site, state });
    this.#changed();
  }

  #emit(run: string, event: RunEvent): void {
    if (this.#closed) return;
    this.#events = [...this.#events.slice(-(EVENTS_SHOWN - 1)), event];
    this.#parts.store
      .addEvent(run, event)
      .catch((error: unknown) => log.error({ error }, "an event could not be stored"));
    for (const listener of this.#listeners) listener({ type: "event", run, event });
    this.#changed();
  }

  #changed(): void {
    if (this.#closed) return;
    const run = this.#run;
    if (run) {
      this.#parts.store
        .updateRun(run.id, { status: run.status, step: run.step, checkpoint: run.checkpoint?.id ?? null })
        .catch((error: unknown) => log.error({ error }, "the state of the run could not be stored"));
    }
    for (const listener of this.#listeners) listener({ type: "snapshot" });
  }
}

function sitesOf(ports: readonly WorkerPort[]): Map<string, string[]> {
  const sites = new Map<string, string[]>();
  for (const { id, site } of ports) sites.set(site, [...(sites.get(site) ?? []), id]);
  return sites;
}

/** "a-2" before "a-10", sites in alphabetical order. */
const collator = new Intl.Collator("en", { numeric: true });
function byJoinOrder(a: WorkerPort, b: WorkerPort): number {
  return collator.compare(a.id, b.id);
}
