// `npm run bench -- paced`: what clusters of unequal devices reach of what each of them reaches alone, over real links.
// Each cluster trains as it is planned by measured speeds, and once more dealt out evenly; and each pace alone. Then the
// fastest worker of the first cluster is slowed to a quarter in the middle of a run.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunConfig } from "../../../core/model/config.ts";
import { linkSpeeds, type MeasuredLink } from "../../../core/plan/link-speeds.ts";
import { planRun } from "../../../core/plan/planner.ts";
import type { WorkerSpeed } from "../../../core/plan/speed.ts";
import type { RunEvent } from "../../../core/protocol/events.ts";
import { addTo } from "../../../core/sums.ts";
import { startServer, type RunningServer } from "../../../server/app.ts";
import { openPage } from "../../../server/browsers.ts";
import { UserError } from "../../../server/errors.ts";
import { joinSite } from "../../../server/headless.ts";
import type { HeadlessPage } from "../../../server/headless-page.ts";
import { describeMachine } from "../machine.ts";
import { median } from "../statistics.ts";
import { CLUSTERS, pacedRun, UNIT, type PacedCluster, type PacedWorker } from "./clusters.ts";
import type { PacedPart } from "./options.ts";
import type { PacedResult, SlowedResult } from "./result.ts";

/** Not counted: the first steps compile and settle. */
const SETTLING = 5;
const ALONE_STEPS = 3;
const EVEN_STEPS = 10;
/** Steps before a worker is slowed, and after. */
const BEFORE = 15;
const AFTER = 30;

type Say = (line: string) => void;

/** Of one part. */
export function measurePaced(part: PacedPart, steps: number, say: Say): Promise<PacedResult | SlowedResult> {
  return part === "slowed" ? slowDown(CLUSTERS["one-site"], say) : measureCluster(CLUSTERS[part], steps, say);
}

async function measureCluster(
  { name, workers }: PacedCluster,
  steps: number,
  say: Say,
): Promise<PacedResult> {
  const config = pacedRun(steps);
  let alone = 0;
  for (const [pace, count] of countsOf(workers.map(({ pace }) => pace))) {
    const worker = { site: "a", browser: "chromium", pace } as const;
    const { seconds } = await train([worker], pacedRun(ALONE_STEPS + 2), 2);
    const rate = tokensOf(config) / median(seconds);
    alone += count * rate;
    say(`alone at ${pace} GFLOP/s: ${rate.toFixed(1)} tokens/s`);
  }
  const planned = await train(workers, config, SETTLING);
  const reached = rateOf(config, planned.seconds);
  const predicted = predictedRate(config, planned);
  say(`${name}: ${reached.toFixed(1)} of ${alone.toFixed(1)} tokens/s, ${predicted.toFixed(1)} predicted`);
  const even = await train(workers, { ...pacedRun(EVEN_STEPS), stages: 1 }, SETTLING, { hideSpeeds: true });
  const evenly = rateOf(config, even.seconds);
  say(`${name}, dealt out evenly: ${evenly.toFixed(1)} tokens/s`);
  const { plans, seconds, runtime } = planned;
  const measured = { ...whereMeasured(name, runtime), alone, reached, predicted, evenly };
  return { command: "paced", ...measured, plans, steps: seconds };
}

function whereMeasured(cluster: string, runtime: string) {
  const { date, processor } = describeMachine();
  return { runtime, date, processor, cluster, unit: UNIT };
}

function countsOf(paces: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const pace of paces) addTo(counts, pace, 1);
  return counts;
}

interface Trained {
  /** Of each step. */
  readonly seconds: number[];
  readonly events: RunEvent[];
  readonly plans: number;
  /** As they measured by the end. */
  readonly links: MeasuredLink[];
  readonly runtime: string;
}

/** One run; of its steps without the first `skipped`. */
async function train(
  workers: readonly PacedWorker[],
  config: RunConfig,
  skipped: number,
  { hideSpeeds = false } = {},
): Promise<Trained> {
  return withCluster(workers, { hideSpeeds }, async (server, pages) => {
    const events = await runToEnd(server, config);
    const plans = events.filter(({ event }) => event === "plan").length;
    const links = server.coordinator
      .snapshot()
      .workers.flatMap(({ id, links }) =>
        links.map(({ peer, ...speed }) => ({ from: id, to: peer, generation: 1, speed })),
      );
    return { seconds: secondsOf(events).slice(skipped), events, plans, links, runtime: pages[0]!.name };
  });
}

/** The fastest worker at a quarter of its pace, from a step on. */
async function slowDown({ name, workers }: PacedCluster, say: Say): Promise<SlowedResult> {
  return withCluster(workers, {}, async (server, pages) => {
    const config = pacedRun(BEFORE + AFTER);
    const fastest = workers.reduce((best, { pace }, i) => (pace > workers[best]!.pace ? i : best), 0);
    const { pace } = workers[fastest]!;
    const events = await runToEnd(server, config, (step) => {
      if (step === BEFORE) void setPace(pages[fastest]!, pace / 4);
    });
    const seconds = secondsOf(events);
    const before = rateOf(config, seconds.slice(SETTLING, BEFORE));
    const after = seconds.slice(BEFORE).map((step) => tokensOf(config) / step);
    // What its workers would reach together at their new paces, by what they reached at the old ones.
    const total = workers.reduce((sum, worker) => sum + worker.pace, 0);
    const bound = (before * (total - 0.75 * pace)) / total;
    const steps = after.findIndex((_, i) => median(after.slice(i, i + 5)) >= 0.9 * bound) + 1;
    say(`slowed to a quarter: ${steps} steps until 90 % of ${bound.toFixed(1)} tokens/s`);
    const losses = events.flatMap((event) => (event.event === "step" ? [event.loss] : []));
    const retried = events.flatMap((event) => (event.event === "done" ? [event.stepsRetried] : []))[0]!;
    const figures = { before, bound, after, stepsUntil: steps || null, losses, retried };
    return { command: "slowed", ...whereMeasured(name, pages[0]!.name), ...figures };
  });
}

async function withCluster<T>(
  workers: readonly PacedWorker[],
  { hideSpeeds = false }: { readonly hideSpeeds?: boolean },
  use: (server: RunningServer, pages: readonly HeadlessPage[]) => Promise<T>,
): Promise<T> {
  const data = await mkdtemp(join(tmpdir(), "tributary-paced-"));
  const server = await startServer({ port: 0, host: "localhost", data, tls: false });
  // Before anybody joins: what a newcomer's probe finds is said at once.
  if (hideSpeeds) hideSpeedsFrom(server);
  const pages: HeadlessPage[] = [];
  try {
    for (const { site, browser, pace } of workers) {
      const page = await openPage(browser, (text) => console.error(`worker of site ${site}: ${text}`));
      pages.push(page);
      await joinSite(page, { server: server.url, site, token: server.tokens.worker, pace });
    }
    return await use(server, pages);
  } finally {
    await Promise.all(pages.map((page) => page.close()));
    await server.close();
    await rm(data, { recursive: true, force: true });
  }
}

async function runToEnd(
  { coordinator }: RunningServer,
  config: RunConfig,
  onStep: (step: number) => void = () => {},
): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  const ended = new Promise<void>((resolve, reject) => {
    coordinator.subscribe((update) => {
      if (update.type !== "event") return;
      const { event } = update;
      events.push(event);
      if (event.event === "step") onStep(event.step);
      if (event.event === "done") resolve();
      if (event.event === "failed") reject(new UserError(event.message));
      if (event.event === "worker" && /of its pace/.test(event.state)) {
        reject(new UserError(`${event.worker} ${event.state}: the machine is too busy for this bench`));
      }
    });
  });
  await coordinator.start(config);
  await ended;
  return events;
}

/** As if nobody had measured anything. */
function hideSpeedsFrom({ coordinator }: RunningServer): void {
  const deliver = coordinator.message.bind(coordinator);
  coordinator.message = (worker, message) => {
    if (message.type === "speed") return;
    deliver(worker, message.type === "ready" ? { ...message, speed: undefined } : message);
  };
}

/** As the person at the machine would. */
function setPace(page: HeadlessPage, pace: number): Promise<unknown> {
  return page.evaluate(`(() => {
    const input = document.querySelector("#pace");
    input.value = ${JSON.stringify(String(pace))};
    input.dispatchEvent(new Event("change", { bubbles: true }));
  })()`);
}

/** What the planner foretells of the last plan, from the speeds that it was made of and the links as they were measured. */
function predictedRate(config: RunConfig, { events, links }: Trained): number {
  const plan = events.findLast((event) => event.event === "plan")!;
  const ids = Object.keys(plan.speeds).sort();
  const sites = new Map<string, string[]>();
  for (const id of ids) {
    const site = id.slice(0, id.lastIndexOf("-"));
    sites.set(site, [...(sites.get(site) ?? []), id]);
  }
  const workers = new Map<string, WorkerSpeed>(Object.entries(plan.speeds));
  return planRun(config, sites, { workers, ...linkSpeeds(sites, links) }).prediction!.tokensPerSecond;
}

const secondsOf = (events: readonly RunEvent[]): number[] =>
  events.flatMap((event) => (event.event === "step" ? [event.seconds] : []));

const tokensOf = ({ batch, model }: RunConfig): number => batch * model.context;

/** Tokens/s over all of these steps. */
const rateOf = (config: RunConfig, seconds: readonly number[]): number =>
  (tokensOf(config) * seconds.length) / seconds.reduce((sum, step) => sum + step, 0);
