// A simulation in words, for `tributary simulate`.
import { formatBytes, formatCount, formatDuration } from "../format.ts";
import { hoursText } from "./draw-hours.ts";
import type { Purpose } from "./ledger.ts";
import type { Simulation } from "./simulate.ts";

const WORDS: Readonly<Record<Purpose, string>> = {
  computing: "computing: pipelines, and sums inside sites",
  exchanging: "exchanging between sites, as far as no work hides it",
  saving: "waiting for checkpoints on their way",
  moving: "moving states, before the first step of a new plan",
  waiting: "waiting for workers, or for slower sites",
  redone: "on steps that were lost with a worker, and done again",
};

/** What would help where most of the time goes into something. */
const HELP: Readonly<Record<Exclude<Purpose, "computing">, string>> = {
  exchanging: "exchanges between sites: strategy rounds, fewer bits or faster lines would help",
  saving: "waiting for checkpoints, before going back to one or at the end: faster lines would help",
  moving: "moving states when plans change: workers that stay longer, or faster lines, would help",
  waiting: "waiting: more workers, or such as stay longer, would help",
  redone: "doing steps again: a smaller checkpointEvery, or workers that stay longer, would help",
};

/** What takes less of the time than this does not bound a run. */
const MATTERS = 0.1;

/** What most of the time goes into, and what else matters; of computing, what bounds a step. */
export function boundsOf({ time, prediction }: Simulation): string[] {
  const purposes = (Object.entries(time) as [Purpose, number][]).sort(([, a], [, b]) => b - a);
  return purposes
    .filter(([, share], i) => i === 0 || share >= MATTERS)
    .map(([purpose]) => (purpose === "computing" ? prediction!.bound : HELP[purpose]));
}

export function describeSimulation(simulation: Simulation): string[] {
  const { seconds, done, steps, tokens, tokensPerSecond, prediction, upperBound, time, plans } = simulation;
  const { stepsLeftOut } = simulation;
  const lines = [
    `${formatDuration(seconds)}${done ? ", then the run was done" : ""}: ${formatCount(steps)} steps, ${formatCount(tokens)} tokens, ${formatCount(tokensPerSecond)} tokens/s`,
    ...(prediction
      ? [
          `  ${percent(tokensPerSecond / prediction.tokensPerSecond)} of the ${formatCount(prediction.tokensPerSecond)} tokens/s predicted for the first plan`,
        ]
      : []),
    `  ${percent(tokensPerSecond / upperBound)} of the upper bound, ${formatCount(upperBound)} tokens/s: each worker training alone while it is there, memory aside`,
    "time:",
    ...(Object.entries(time) as [Purpose, number][])
      .filter(([, share]) => share > 0)
      .map(([purpose, share]) => `  ${percent(share)} ${WORDS[purpose]}`),
    ...boundsOf(simulation).map((bound, i) => `${i === 0 ? "bound by" : "then by"} ${bound}`),
    `workers: ${formatCount(simulation.workersThere)} of ${formatCount(simulation.workers)} there on average; ${formatCount(simulation.arrivals)} came, ${formatCount(simulation.departures)} left, ${formatCount(simulation.lost)} of them out of the plan`,
    `plans: ${formatCount(plans.full)} made, ${formatCount(plans.mended)} mended; checkpoints: ${formatCount(simulation.checkpoints)}; steps done again: ${formatCount(simulation.stepsRedone)}${stepsLeftOut > 0 ? `, left out by sites: ${formatCount(stepsLeftOut)}` : ""}`,
    ...bytesLines("sent between sites", simulation.wideBytes),
    ...bytesLines("states sent between sites", simulation.movedBytes),
    ...bytesLines("states between sites and server", simulation.serverBytes),
  ];
  return [...lines, "", "tokens/s by the hour:", ...hoursText(simulation)];
}

/** More sites than this are not named one by one. */
const MOST_NAMES = 6;

function bytesLines(what: string, bySite: Readonly<Record<string, number>>): string[] {
  const entries = Object.entries(bySite).sort(([, a], [, b]) => b - a);
  const total = entries.reduce((sum, [, bytes]) => sum + bytes, 0);
  if (total === 0) return [];
  const named = entries.slice(0, MOST_NAMES).map(([site, bytes]) => `${site} ${size(bytes)}`);
  const rest = entries.length > MOST_NAMES ? `, ${entries.length - MOST_NAMES} sites less each` : "";
  return [`${what}: ${size(total)} (${named.join(", ")}${rest})`];
}

const size = (bytes: number): string => formatBytes(Math.round(bytes));

const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;
