// Runs and their events in an embedded PostgreSQL (PGlite) under the data folder.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { asc, desc, eq } from "drizzle-orm";
import { integer, jsonb, pgTable, primaryKey, serial, text, timestamp } from "drizzle-orm/pg-core";
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

const events = pgTable(
  "events",
  { run: text().notNull(), seq: integer().notNull(), event: jsonb().$type<RunEvent>().notNull() },
  (table) => [primaryKey({ columns: [table.run, table.seq] })],
);

const TABLES = `
  create table if not exists runs (
    id text primary key, number serial not null, config jsonb not null, status text not null default 'waiting',
    step integer not null default 0, checkpoint text, created timestamptz not null default now());
  create table if not exists events (
    run text not null references runs(id), seq integer not null, event jsonb not null, primary key (run, seq));`;

export type StoredRun = typeof runs.$inferSelect;

export class Store {
  readonly #client: PGlite;
  readonly #db: PgliteDatabase;
  /** Number of the next event of each run. */
  readonly #next = new Map<string, number>();

  private constructor(client: PGlite) {
    this.#client = client;
    this.#db = drizzle(client);
  }

  static async open(data: string): Promise<Store> {
    const folder = join(data, "db");
    await mkdir(folder, { recursive: true });
    const client = await PGlite.create(folder);
    await client.exec(TABLES);
    return new Store(client);
  }

  /** Returns the run's number. */
  async createRun({ id, config }: { id: string; config: RunConfig }): Promise<number> {
    const [row] = await this.#db.insert(runs).values({ id, config }).returning({ number: runs.number });
    return row!.number;
  }

  async updateRun(id: string, changes: Pick<StoredRun, "status" | "step" | "checkpoint">): Promise<void> {
    await this.#db.update(runs).set(changes).where(eq(runs.id, id));
  }

  async run(id: string): Promise<StoredRun | null> {
    return (await this.#db.select().from(runs).where(eq(runs.id, id)))[0] ?? null;
  }

  /** Newest first. */
  runs(): Promise<StoredRun[]> {
    return this.#db.select().from(runs).orderBy(desc(runs.number));
  }

  async addEvent(run: string, event: RunEvent): Promise<void> {
    const seq = this.#next.get(run) ?? 0;
    this.#next.set(run, seq + 1);
    await this.#db.insert(events).values({ run, seq, event });
  }

  /** Oldest first. */
  async events(run: string): Promise<RunEvent[]> {
    const rows = await this.#db.select().from(events).where(eq(events.run, run)).orderBy(asc(events.seq));
    return rows.map(({ event }) => event);
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}
