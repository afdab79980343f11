// Hours of a run on machines that need not exist: workers come and go, lines vary, and the run plans, trains, saves and
// begins again by the rules that a real one goes by. The same input and seed always give the same result.
// Assumed: planning, the optimizer, encoding, validations and samples take no time; the server's own line is never what
// states wait for; and a run that nobody there can hold waits for workers instead of failing.
import type { RunConfig } from "../model/config.ts";
import { habitsOf, measuredOf, variationsOf, workersOf, type Cluster } from "../plan/cluster.ts";
import { aloneSeconds, loadOf } from "../plan/cost.ts";
import { candidatesOf, type Measured } from "../plan/measured.ts";
import { planRun } from "../plan/planner.ts";
import type { Prediction } from "../plan/predict.ts";
import { Churn } from "./churn.ts";
import { Clock } from "./clock.ts";
import { Ledger, PURPOSES, type Purpose } from "./ledger.ts";
import { Lines } from "./lines.ts";
import { TimeMean } from "./mean.ts";
import { SimulatedPlanning } from "./planning.ts";
import { SimulatedRun } from "./run.ts";
import { SiteSteps } from "./site-steps.ts";
import { StateTransfers } from "./state-transfers.ts";

export interface SimulationOptions {
  readonly hours: number;
  readonly seed: number;
  /** Told the share of the hours that has passed. */
  readonly onProgress?: (share: number) => void;
}

export interface Simulation {
  /** Simulated; fewer than asked for when the run was done before. */
  readonly seconds: number;
  readonly done: boolean;
  readonly workers: number;
  /** Of them there, on average. */
  readonly workersThere: number;
  /** Of steps that counted: what was lost and done again counts once. */
  readonly steps: number;
  readonly tokens: number;
  readonly tokensPerSecond: number;
  /** Of the first plan; null when there never was one. */
  readonly prediction: Prediction | null;
  /** Tokens/s of those who were there, on average, each training alone on a copy of the model, memory aside. */
  readonly upperBound: number;
  /** Shares of the time. */
  readonly time: Readonly<Record<Purpose, number>>;
  readonly arrivals: number;
  readonly departures: number;
  /** Departures that took a worker of the plan. */
  readonly lost: number;
  readonly plans: { readonly full: number; readonly mended: number };
  readonly checkpoints: number;
  readonly stepsRedone: number;
  /** In strategy `rounds`, by slow sites: counted by the site. */
  readonly stepsLeftOut: number;
  /** Sent by sites to each other in exchanges; of states; and states between a site and the server. */
  readonly wideBytes: Readonly<Record<string, number>>;
  readonly movedBytes: Readonly<Record<string, number>>;
  readonly serverBytes: Readonly<Record<string, number>>;
  readonly hours: readonly SimulatedHour[];
}

export interface SimulatedHour {
  /** The last one may be shorter than 3600. */
  readonly seconds: number;
  readonly tokens: number;
  readonly tokensPerSecond: number;
}

const HOUR = 3600;

/** @throws PlanImpossible when even all workers together cannot hold the model, RangeError when no speed is known */
export function simulate(
  cluster: Cluster,
  config: RunConfig,
  { hours, seed, onProgress = () => {} }: SimulationOptions,
): Simulation {
  const sites = workersOf(cluster);
  const measured = withAllSpeeds(cluster);
  const clock = new Clock();
  const ledger = new Ledger(clock);
  const alone = aloneTokens(config, measured);
  let [arrivals, departures] = [0, 0];
  const churn = new Churn({
    clock,
    seed,
    sites,
    habits: habitsOf(cluster),
    onCome: (worker) => {
      arrivals++;
      there.add(1);
      upperBound.add(alone.get(worker)!);
      run.welcome();
    },
    onLeave: (worker) => {
      departures++;
      there.add(-1);
      upperBound.add(-alone.get(worker)!);
      run.lose(worker);
    },
  });
  const first = [...churn.sites().values()].flat();
  const there = new TimeMean(clock, first.length);
  const upperBound = new TimeMean(
    clock,
    first.reduce((sum, worker) => sum + alone.get(worker)!, 0),
  );
  const planning = new SimulatedPlanning(config, measured);
  const lines = new Lines({ seed, wideLinks: measured.wideLinks, variations: variationsOf(cluster) });
  const transfers = new StateTransfers({ clock, lines, siteLinks: measured.siteLinks });
  const siteOf = new Map([...sites].flatMap(([site, workers]) => workers.map((worker) => [worker, site])));
  const run = new SimulatedRun({
    config,
    clock,
    ledger,
    planning,
    siteSteps: new SiteSteps(config, measured),
    transfers,
    siteOf: (worker) => siteOf.get(worker)!,
    sites: () => churn.sites(),
  });
  run.start();
  // Says so, if it is the model that is too large, and not that workers are away.
  if (!planning.first) planRun(config, sites, measured);
  clock.run(hours * HOUR, (now) => onProgress(now / (hours * HOUR)));
  run.end();
  const seconds = clock.now;
  const page = ledger.close();
  const byHour = hoursOf(page.tokens, seconds);
  const tokens = byHour.reduce((sum, hour) => sum + hour.tokens, 0);
  const shares = PURPOSES.map((purpose) => [purpose, page.seconds[purpose] / seconds] as const);
  return {
    seconds,
    done: run.isDone,
    workers: alone.size,
    workersThere: there.mean,
    steps: run.step,
    tokens,
    tokensPerSecond: tokens / seconds,
    prediction: planning.first?.prediction ?? null,
    upperBound: upperBound.mean,
    time: Object.fromEntries(shares) as Record<Purpose, number>,
    arrivals,
    departures,
    lost: run.lost,
    plans: { full: planning.full, mended: planning.mended },
    checkpoints: run.checkpoints,
    stepsRedone: run.stepsRedone,
    stepsLeftOut: run.stepsLeftOut,
    wideBytes: Object.fromEntries(run.wideBytes),
    movedBytes: Object.fromEntries(transfers.movedBytes),
    serverBytes: Object.fromEntries(transfers.serverBytes),
    hours: byHour,
  };
}

/** What is known, workers without a speed with the one that the planner takes them to have. */
function withAllSpeeds(cluster: Cluster): Measured {
  const measured = measuredOf(cluster);
  const candidates = candidatesOf(workersOf(cluster), measured);
  if (!candidates) throw new RangeError("no worker's speed is known");
  const workers = new Map([...candidates.values()].flat().map(({ id, speed }) => [id, speed]));
  return { ...measured, workers };
}

/** Tokens/s of each worker, training alone. */
function aloneTokens(config: RunConfig, { workers }: Measured): ReadonlyMap<string, number> {
  const load = loadOf(config);
  const tokens = load.tokens / load.microbatches;
  return new Map([...workers].map(([id, speed]) => [id, tokens / aloneSeconds(load, speed)]));
}

function hoursOf(tokens: ReadonlyMap<number, number>, seconds: number): SimulatedHour[] {
  return Array.from({ length: Math.ceil(seconds / HOUR) }, (_, hour) => {
    const length = Math.min(HOUR, seconds - hour * HOUR);
    const trained = tokens.get(hour) ?? 0;
    return { seconds: length, tokens: trained, tokensPerSecond: trained / length };
  });
}
