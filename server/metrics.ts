// Prometheus metrics, at /metrics.
import { Counter, Gauge, Registry } from "prom-client";
import type { Snapshot } from "../core/protocol/events.ts";

export class Metrics {
  readonly registry = new Registry();
  readonly refused = new Counter({
    name: "tributary_control_messages_refused_total",
    help: "Control messages that no schema fits, or that came out of turn, by the type they claim",
    labelNames: ["type"],
    registers: [this.registry],
  });

  constructor(snapshot: () => Snapshot) {
    new Gauge({
      name: "tributary_workers",
      help: "Connected workers",
      labelNames: ["site"],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const { site } of snapshot().workers) this.inc({ site });
      },
    });
    new Gauge({
      name: "tributary_step",
      help: "Committed steps of the latest run",
      registers: [this.registry],
      collect() {
        this.set(snapshot().run?.step ?? 0);
      },
    });
    new Gauge({
      name: "tributary_channel_bytes",
      help: "Bytes put on data channels in the latest run",
      labelNames: ["link", "purpose"],
      registers: [this.registry],
      collect() {
        this.reset();
        const { run } = snapshot();
        for (const [purpose, bytes] of Object.entries(run?.siteBytesBy ?? {}))
          this.set({ link: "site", purpose }, bytes);
        for (const [purpose, bytes] of Object.entries(run?.wideBytesBy ?? {}))
          this.set({ link: "wide", purpose }, bytes);
      },
    });
    new Gauge({
      name: "tributary_worker_channel_bytes",
      help: "Bytes that each worker has put on data channels in the latest run",
      labelNames: ["worker", "link"],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [worker, { siteBytes, wideBytes }] of Object.entries(snapshot().run?.byWorker ?? {})) {
          this.set({ worker, link: "site" }, siteBytes);
          this.set({ worker, link: "wide" }, wideBytes);
        }
      },
    });
    this.#share("computing", "Share of their time in which the latest run's workers have computed", snapshot);
    this.#share(
      "overlapped",
      "Share of the time of the latest run's exchanges between sites in which workers have computed meanwhile",
      snapshot,
    );
  }

  /** Without a value as long as there is none. */
  #share(of: "computing" | "overlapped", help: string, snapshot: () => Snapshot): void {
    new Gauge({
      name: `tributary_${of}_share`,
      help,
      registers: [this.registry],
      collect() {
        this.remove();
        const share = snapshot().run?.[of] ?? null;
        if (share !== null) this.set(share);
      },
    });
  }
}
