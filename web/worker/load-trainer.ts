// From an assignment and an empty stage to what carries out orders: the stage filled, its outer state in strategy
// `rounds`, and the trainer over both.
// Not here: making the stage, orders and reports (training.worker.ts).
import type { StageSpec } from "../../core/plan/memory.ts";
import { unsaidKeepers } from "../../core/plan/moves.ts";
import { positionOf } from "../../core/plan/plan.ts";
import { stageWork } from "../../core/plan/work.ts";
import { UnsaidGradients } from "../../core/reduce/error-feedback.ts";
import { OuterState } from "../../core/reduce/outer.ts";
import type { BlobClient } from "./blobs.ts";
import { HeldState } from "./held-state.ts";
import { OuterLoop } from "./outer-loop.ts";
import { draftShard, loadState, type ShardDraft } from "./stage-state.ts";
import { takeState } from "./take-state.ts";
import { Trainer, type TrainerParts } from "./trainer.ts";

export interface LoadParts extends Omit<TrainerParts, "range" | "slots" | "work" | "outerLoop" | "unsaid"> {
  readonly spec: StageSpec;
  readonly blobs: Pick<BlobClient, "get">;
  /** What this worker keeps of the generation before. */
  readonly held: HeldState | null;
}

export interface LoadedTrainer {
  readonly trainer: Trainer;
  /** A shard of all that the stage goes on from. */
  readonly draft: () => Promise<ShardDraft>;
  /** The same, kept in memory, once no exchange can be concluded any more: then the stage may go. */
  readonly hold: () => Promise<HeldState>;
}

export async function loadTrainer({ spec, blobs, held, ...parts }: LoadParts): Promise<LoadedTrainer> {
  const { self, assignment, stage } = parts;
  const { config, plan } = assignment;
  const { strategy, model } = config;
  const { range, slots } = spec;
  const replica = plan.replicas[positionOf(plan, self)!.replica]!;
  const keepsUnsaid = unsaidKeepers(config, plan).includes(replica);
  const unsaid = keepsUnsaid ? new UnsaidGradients(stage.segment) : null;
  const outer = strategy.kind === "rounds" ? new OuterState(stage.segment, unsaid) : null;
  const stored = { stage, range, outer, unsaid, site: replica.site };
  const { state, runNumber: run, generation } = assignment;
  if (state.kind === "workers") await takeState(stored, { ...parts, ...state, model, held });
  else await loadState(stored, { config, state }, blobs);
  const outerLoop =
    strategy.kind === "rounds" && outer ? new OuterLoop({ ...parts, strategy, range, outer }) : null;
  return {
    trainer: new Trainer({ ...parts, range, slots, work: stageWork(spec), outerLoop, unsaid }),
    draft: () =>
      draftShard(stored, model, async (copy) => (outerLoop ? outerLoop.whenSettled(copy) : copy())),
    hold: async () => {
      // An exchange that is not concluded has left no trace.
      await outerLoop?.settle().catch(() => {});
      return HeldState.of(stored, { run, generation });
    },
  };
}
