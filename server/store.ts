// Runs and their events in an embedded PostgreSQL (PGlite) under the data folder.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { asc, desc, eq, inArray } from "drizzle-orm";
import { integer, jsonb, pgTable, serial, text, timestamp } from "drizzle-orm/pg-core";
import { drizzle, type PgliteDatabase } from "drizzle-orm/pglite";
import type { RunConfig } from "../core/model/config.ts";
import type { RunEvent, RunStatus } from "../core/protocol/events.ts";

const runs = pgTable("runs", {
  id: text().primaryKey(),
  number: serial().notNull(),
  config: jsonb().$type<RunConfig>().notNull(),
  status: text().$type<RunStatus>().notNull().default("waiting"),
  step: integer().notNull().default(0),
  checkpoint: text(),
  created: timestamp({ withTimezone: true }).notNull().defaultNow(),
});

const events = pgTable("events", {
  seq: serial().primaryKey(),
  run: text().notNull(),
  event: jsonb().$type<RunEvent>().notNull(),
});

const SET_UP = `
  create table if not exists runs (
    id text primary key, number serial not null, config jsonb not null, status text not null default 'waiting',
    step integer not null default 0, checkpoint text, created timestamptz not null default now());
  create table if not exists events (
    seq serial primary key, run text not null references runs(id), event jsonb not null);
  create index if not exists events_by_run on events (run, seq);`;

const UNFINISHED = ["waiting", "preparing", "training", "paused"] as const;

export type StoredRun = typeof runs.$inferSelect;

export class Store {
  readonly #client: PGlite;
  readonly #db: PgliteDatabase;
  /** Not waited for by whoever told them, but before the end. */
  readonly #writes = new Set<Promise<unknown>>();

  private constructor(client: PGlite) {
    this.#client = client;
    this.#db = drizzle(client);
  }

  static async open(data: string): Promise<Store> {
    const folder = join(data, "db");
    await mkdir(folder, { recursive: true });
    const client = await PGlite.create(folder);
    await client.exec(SET_UP);
    return new Store(client);
  }

  /** Returns the run's number. */
  async createRun({ id, config }: { id: string; config: RunConfig }): Promise<number> {
    const [row] = await this.#db.insert(runs).values({ id, config }).returning({ number: runs.number });
    return row!.number;
  }

  async updateRun(id: string, changes: Pick<StoredRun, "status" | "step" | "checkpoint">): Promise<void> {
    await this.#write(this.#db.update(runs).set(changes).where(eq(runs.id, id)));
  }

  async run(id: string): Promise<StoredRun | null> {
    return (await this.#db.select().from(runs).where(eq(runs.id, id)))[0] ?? null;
  }

  /** Newest first. */
  runs(): Promise<StoredRun[]> {
    return this.#db.select().from(runs).orderBy(desc(runs.number));
  }

  /** The run that a server was in when it ended; null when it was in none. */
  async unfinished(): Promise<StoredRun | null> {
    const left = this.#db.select().from(runs).where(inArray(runs.status, UNFINISHED));
    return (await left.orderBy(desc(runs.number)).limit(1))[0] ?? null;
  }

  /** It does not go on: its checkpoints are there to start from. */
  async stopUnfinished(): Promise<void> {
    await this.#db.update(runs).set({ status: "stopped" }).where(inArray(runs.status, UNFINISHED));
  }

  async addEvent(run: string, event: RunEvent): Promise<void> {
    await this.#write(this.#db.insert(events).values({ run, event }));
  }

  /** Oldest first. */
  async events(run: string): Promise<RunEvent[]> {
    const rows = await this.#db.select().from(events).where(eq(events.run, run)).orderBy(asc(events.seq));
    return rows.map(({ event }) => event);
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#writes);
    await this.#client.close();
  }

  #write(query: PromiseLike<unknown>): Promise<unknown> {
    const write = Promise.resolve(query).finally(() => this.#writes.delete(write));
    this.#writes.add(write);
    return write;
  }
}
