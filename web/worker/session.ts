// The worker page's life: finds a GPU (in the training worker), joins the server, opens the links an assignment
// needs, and carries frames between those links and the training worker.
// Not here: what is shown (main.tsx and components), what is computed (trainer.ts).
import { formatFlops } from "../../core/format.ts";
import { positionOf } from "../../core/plan/plan.ts";
import {
  errorText,
  parseControl,
  PROTOCOL_VERSION,
  WorkerMessage,
  type ClientMessage,
} from "../../core/protocol/control.ts";
import { stageRange } from "../../core/model/parameters.ts";
import { Switchboard } from "../link/switchboard.ts";
import { describeStage } from "../../core/plan/describe.ts";
import { readAddress } from "./address.ts";
import { note, state, update } from "./state.ts";
import { LinkReport } from "./link-report.ts";
import { PeerLinks } from "./peer-links.ts";
import { ServerConnection } from "./server-connection.ts";
import { SpeedMeter } from "./speed-meter.ts";
import { TrainingThread } from "./training-thread.ts";
import type { Assignment, FromTrainer, TrainerReport } from "./worker-messages.ts";

const RECONNECT_MS = 2000;

interface Credentials {
  readonly site: string;
  readonly name: string;
  readonly token: string;
}

let credentials: Credentials | null = null;
let switchboard: Switchboard | null = null;
/** Over the switchboard, and as long as it. */
let links: PeerLinks | null = null;
let linkReport = new LinkReport();
let assignment: Assignment | null = null;
/** Whether the training worker keeps a state of a generation that ended: it may be needed yet. */
let holding = false;
/** The run that bytes are counted for, and links are told of. */
let counted: string | null = null;
/** What the person at this page wants; it outlives a lost connection. */
let paused = false;
let leaving = false;
let releaseTabLock: (() => void) | null = null;
const address = readAddress(location);
const speed = new SpeedMeter();
const server = new ServerConnection({ onOpen: askToJoin, onMessage: fromServer, onLost: serverIsGone });
/** Dismissed, and no step was committed with this worker since. */
let wasDismissed = false;
const trainer = new TrainingThread(fromTrainer, (message) =>
  unsupported(
    "The training worker could not start",
    message || "Reload the page; if it stays, look at the console.",
  ),
);

/** Looks for a GPU; then joins with what the page's address holds, or shows the form. */
export function startSession(): void {
  addEventListener("pagehide", () => switchboard?.close("the page was closed"));
  if (!window.isSecureContext) {
    unsupported(
      "This address is not a secure context",
      `Browsers offer WebGPU only on https and on localhost, not on ${location.origin}. Start the server with --tls and open https://${location.host}, or open the page on the server's own machine.`,
    );
    return;
  }
  const pace = address.pace === null ? null : Number(address.pace);
  if (pace !== null && !isPace(pace)) {
    unsupported(
      `'${address.pace}' is no pace`,
      "Give a number of GFLOP/s above 0 as pace in this page's address, or leave it out.",
    );
    return;
  }
  update({ pace });
  startTrainer();
}

function startTrainer(): void {
  trainer.start({ tune: address.tune, pace: state.value.pace });
}

const isPace = (pace: number): boolean => pace > 0 && Number.isFinite(pace);

/** A new pace, GFLOP/s, where the worker has one; what is no pace changes nothing. */
export function changePace(pace: number): void {
  if (isPace(pace)) {
    update({ pace });
    trainer.say({ type: "pace", pace });
    note(`slowed to ${pace} GFLOP/s`);
  } else note("a pace is a number of GFLOP/s above 0");
}

/** Joins `site`; `name` is what people call this machine. */
export function join(wanted: Credentials): void {
  credentials = wanted;
  update({ site: wanted.site, name: wanted.name, problem: null });
  connect();
}

/** Lets this worker sit out, or take part again, from the next step on. */
export function setPaused(wanted: boolean): void {
  paused = wanted;
  say({ type: "pause", paused });
  update({ phase: paused ? "paused" : "idle" });
}

/** Leaves the site for good: after the step in progress, so that the run loses nothing. */
export function leave(): void {
  leaving = true;
  if (!assignment && !holding) return finishLeaving();
  say({ type: "pause", paused: true });
  note("leaving after this step");
}

function finishLeaving(): void {
  leaving = false;
  paused = false;
  credentials = null;
  drop("left", 1000);
  update({ phase: "left", worker: null, problem: null });
}

function connect(): void {
  if (!credentials) return;
  update({ phase: "joining" });
  server.open();
}

function askToJoin(): void {
  say({ type: "join", protocol: PROTOCOL_VERSION, ...credentials!, gpu: state.value.gpu! });
}

function serverIsGone(): void {
  drop("the server is gone");
  if (!credentials || state.value.phase === "refused") return;
  update({
    phase: "disconnected",
    worker: null,
    problem: {
      title: "No connection to the server",
      advice: `Trying ${location.host} again every ${RECONNECT_MS / 1000} s.`,
    },
  });
  setTimeout(connect, RECONNECT_MS);
}

function fromServer(data: string): void {
  const parsed = parseControl(WorkerMessage, data);
  if (!parsed.ok) {
    note(`a message of the server was dropped: ${parsed.reason}`);
    return;
  }
  const { message } = parsed;
  if (message.type === "joined") {
    linkReport = new LinkReport();
    switchboard = new Switchboard({
      self: message.worker,
      iceServers: message.iceServers.map(({ urls, username, credential }) => ({
        urls,
        ...(username !== undefined && { username }),
        ...(credential !== undefined && { credential }),
      })),
      brokerKey: message.brokerKey,
      sendSignal: (to, signal) => say({ type: "signal", to, data: signal }),
      onFrame: (from, frame) => trainer.say({ type: "frame", from, frame }, [frame]),
      relayKey: message.relayKey,
      onRelayed: showRelayed,
      onBroken: (peer, _kind, reason) => links?.broke(peer, reason),
    });
    links = new PeerLinks({
      self: message.worker,
      switchboard,
      onLost: sayFailed,
      onBroken: (peer, reason) => trainer.say({ type: "broken", peer, reason }),
    });
    trainer.say({ type: "joined", worker: message.worker, token: credentials!.token });
    update({ phase: paused ? "paused" : "idle", worker: message.worker, problem: null });
    if (paused) say({ type: "pause", paused });
    note(`joined site ${credentials!.site} as ${message.worker}`);
    holdTabAwake();
  } else if (message.type === "signal") {
    switchboard?.signal(message.from, message.data);
  } else if (message.type === "ring") {
    switchboard?.ring(message);
  } else if (message.type === "check") {
    trainer.say(message);
  } else if (message.type === "dismissed") {
    startAnew(message.reason);
  } else if (message.type === "refused") {
    note(`the server refused: ${message.reason}`);
    if (message.fatal)
      update({
        phase: "refused",
        problem: { title: "The server refused this worker", advice: message.reason },
      });
  } else if (message.type === "assign") {
    void takeAssignment(message);
  } else if (message.type === "lend") {
    void lend(message);
  } else {
    if (message.type === "hold") {
      [assignment, holding] = [null, true];
      links?.keep();
    }
    if (message.type === "release") note(`released: ${message.reason}`);
    if (["step", "exchange", "merge"].includes(message.type)) links?.step();
    if (message.type === "commit") showCommit(message.step);
    trainer.say({ type: "order", order: message });
  }
}

/** What this worker owed did not come. A training worker that hangs does not come to itself: another takes its place. */
function startAnew(reason: string): void {
  const title = "The server dismissed this worker";
  const advice = `The run goes on without this machine, because ${reason}.`;
  if (!wasDismissed) {
    wasDismissed = true;
    disconnect(title, `${advice} It starts anew, and joins again once it has found its GPU.`);
    return startTrainer();
  }
  // It would keep the run from going on.
  const words = `${advice} That was so twice in a row: close what else uses the GPU, or update its driver; then reload this page.`;
  credentials = null;
  disconnect(title, words);
  trainer.end();
  unsupported(title, words);
}

/** Ends all that goes on with the server and with other workers. `code`: of the closing, where the server is there. */
function drop(reason: string, code = 1000): void {
  endGeneration(reason);
  switchboard?.close(reason);
  switchboard = links = null;
  releaseTabLock?.();
  server.close(code, reason);
}

/** Leaves the server, for a reason of this machine's. */
function disconnect(title: string, advice: string): void {
  note(`${title}: ${advice}`);
  drop(title, 4000);
  update({ phase: "disconnected", worker: null, problem: { title, advice } });
  if (leaving) finishLeaving();
}

/** Opens the links while the training worker loads the stage; "prepared" is said when both are done. */
async function takeAssignment(order: Assignment): Promise<void> {
  if (counted !== order.run) switchboard!.resetCounts();
  counted = order.run;
  assignment = order;
  holding = false;
  speed.reset();
  const self = state.value.worker!;
  const { replica, stage } = positionOf(order.plan, self)!;
  const { first, last } = order.plan.replicas[replica]!.stages[stage]!;
  const holds = describeStage(stageRange(order.config.model, first, last));
  update({ phase: "loading", run: order.run, holds, steps: order.config.steps });
  note(`run ${order.run}, generation ${order.generation}: ${holds}`);
  const { generation, plan } = order;
  if ((await links!.begin(generation, plan, order.links)) && assignment === order) {
    trainer.say({ type: "order", order });
  }
}

/** Others take the state that this worker keeps, over these links. */
async function lend(order: Extract<WorkerMessage, { type: "lend" }>): Promise<void> {
  const { generation } = order;
  if (await links!.lend(generation, order.links)) say({ type: "prepared", generation, stageBytes: 0 });
}

function fromTrainer(message: FromTrainer): void {
  if (message.type === "gpu") {
    update({ gpu: message.gpu, problem: null });
    if (state.value.phase !== "checking") return connect();
    const { site, token, name = message.gpu.browser } = address;
    update({ site, name });
    if (site && token) join({ site, name, token });
    else update({ phase: "form" });
  } else if (message.type === "unsupported") {
    unsupported(message.title, message.advice);
  } else if (message.type === "lost") {
    disconnect("GPU device lost", message.reason);
  } else if (message.type === "needs") {
    update({ stageBytes: message.stageBytes });
  } else if (message.type === "speed") {
    note(`measured: ${formatFlops(message.speed.block)}`);
    say(message);
  } else if (message.type === "behind") {
    const { share } = message;
    note(
      `this GPU reaches only ${Number((100 * share).toPrecision(2))} % of its pace of ${state.value.pace} GFLOP/s`,
    );
    say({ type: "behind", pace: state.value.pace!, share });
  } else if (message.type === "tuning") {
    // A search goes on to its end, also when its generation has ended.
    if (assignment) update({ phase: message.searching ? "tuning" : "loading" });
  } else if (message.type === "alive") {
    // What others wait for may still have to go out.
    const { doing } = message;
    say({ type: "alive", doing: doing === "waiting" && links?.isSending ? "working" : doing });
  } else if (!links) {
    // Nobody is left to send it to, or to tell it.
  } else if (message.type === "frame") {
    links.send(message.to, message.frame);
  } else {
    void report(message.report);
  }
}

/** Passes a report on, with the byte counts of the links; the last one of a generation waits for its sends. */
async function report(message: TrainerReport): Promise<void> {
  if (message.type === "prepared") update({ phase: "training", stageBytes: message.stageBytes });
  if (message.type === "released") {
    await links?.sent();
    if (!assignment || assignment.generation === message.generation) endGeneration("released");
  }
  if (!switchboard) return;
  const bytes = switchboard.counts();
  update({ bytes });
  if (message.type === "ready") {
    const links = linkReport.due(counted!, message.generation, switchboard.speeds());
    say({ ...message, bytes, ...(links && { links }) });
  } else if (message.type === "released") say({ ...message, bytes });
  else say(message);
  if (leaving && message.type === "released") finishLeaving();
}

function showCommit(step: number): void {
  wasDismissed = false;
  const { batch, model } = assignment!.config;
  update({ step, tokensPerSecond: speed.add(batch * model.context) });
}

/** No direct connection came up, or one did after all. */
function showRelayed(peer: string, relayed: boolean): void {
  const others = state.value.relayed.filter((other) => other !== peer);
  update({ relayed: relayed ? [...others, peer] : others });
  note(
    `the link to ${peer} goes ${relayed ? "through the server: no direct connection came up" : "directly"}`,
  );
  say({ type: "relayed", peer, relayed });
}

function sayFailed(generation: number, error: unknown): void {
  say({ type: "failed", generation, message: errorText(error), fatal: false });
}

function endGeneration(reason: string): void {
  if (!assignment && !holding) return;
  assignment = null;
  holding = false;
  links?.end();
  trainer.say({ type: "abandon", reason });
  update({ phase: paused ? "paused" : "idle", run: null, holds: null, stageBytes: 0 });
}

function unsupported(title: string, advice: string): void {
  update({ phase: "unsupported", problem: { title, advice } });
}

function say(message: ClientMessage): void {
  server.say(message);
}

/** A held Web Lock keeps browsers from freezing the page while it is in the background. */
function holdTabAwake(): void {
  void navigator.locks?.request(
    `tributary-${crypto.randomUUID()}`,
    () => new Promise<void>((resolve) => (releaseTabLock = resolve)),
  );
}
