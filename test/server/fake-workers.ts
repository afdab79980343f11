// Workers without a browser: they answer the coordinator's orders with made-up figures, for tests of its course.
import type { ClientMessage, Doing, WorkerMessage } from "../../core/protocol/control.ts";
import type { WorkerPort } from "../../server/coordinator-port.ts";

type Order = Extract<WorkerMessage, { generation: number }>;
type Answer = Extract<ClientMessage, { generation: number }>;

export interface FakeWorker {
  readonly port: WorkerPort;
  /** Every order it was given, oldest first. */
  readonly orders: Order[];
  /** What it says to a check. */
  doing: Doing | "silent";
}

interface Ears {
  alive: (worker: string, doing: Doing) => void;
  dismiss: (worker: string, reason: string) => void;
}

const GPU = {
  vendor: "test",
  architecture: "",
  description: "a made-up GPU",
  browser: "none",
  features: [],
  maxBufferSize: 1,
  maxStorageBufferBindingSize: 1,
};

export const HASH = "0".repeat(64);

/**
 * A worker that answers each order as a healthy one with a mean loss of 2 and a squared norm of 4 would.
 * `change` may replace an answer, or return null to stay silent.
 */
export function fakeWorker(
  id: string,
  deliver: (worker: string, answer: Answer) => void,
  change: (order: Order, answer: Answer) => Answer | null = (_order, answer) => answer,
  { alive, dismiss }: Ears = { alive: () => {}, dismiss: () => {} },
): FakeWorker {
  const orders: Order[] = [];
  const send = (order: WorkerMessage) => {
    const { doing } = worker;
    if (order.type === "check" && doing !== "silent") setImmediate(() => alive(id, doing));
    if (!("generation" in order)) return;
    orders.push(order);
    const usual = usualAnswer(order);
    const answer = usual && change(order, usual);
    // As over a socket: the coordinator has done all that it does at once before the answer comes.
    if (answer) setImmediate(() => deliver(id, answer));
  };
  const port = {
    id,
    site: id.split("-")[0]!,
    name: id,
    gpu: GPU,
    send,
    dismiss: (reason: string) => dismiss(id, reason),
  };
  const worker: FakeWorker = { orders, port, doing: "working" };
  return worker;
}

function usualAnswer(order: Order): Answer | null {
  const { generation } = order;
  const bytes = { site: { activation: 100 }, wide: { reduce: 10 } };
  switch (order.type) {
    case "assign":
    case "lend":
      return { type: "prepared", generation, stageBytes: 1 };
    case "step":
      return {
        type: "ready",
        generation,
        step: order.step,
        squaredNorm: 4,
        lossSum: 2 * 64,
        tokens: 64,
        times: { passed: 2, waited: 0.5, exchanging: 0.4, exposed: 0.1 },
        bytes,
      };
    case "validate":
      return { type: "validated", generation, step: order.step, lossSum: 3 * 10, tokens: 10 };
    case "sample":
      return { type: "sampled", generation, step: order.step, tokens: [72, 105] };
    case "save":
      return { type: "saved", generation, step: order.step, shard: { hash: HASH, bytes: 1, tensors: [] } };
    case "release":
      return { type: "released", generation, bytes };
    case "hold":
      return { type: "held", generation, kept: true };
    case "merge":
      return { type: "merged", generation, step: order.step, anchors: { embed: 1 } };
    case "repair":
      return { type: "repaired", generation, step: order.step };
    case "exchange":
      return { type: "exchanged", generation, step: order.step };
    case "renew":
      return { type: "renewed", generation, step: order.step };
    case "commit":
    case "conclude":
    case "discard":
      return null;
  }
}
