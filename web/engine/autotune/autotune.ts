// Autotuning a stage: what the table says, overlaid with what searches on this machine have found.
// Not here: the order and the rules of a search (search.ts), where the record is kept (web/worker/tuning-store.ts).
import type { StageSpec } from "../../../core/plan/memory.ts";
import { openAttentionContest } from "./attention-contest.ts";
import { attentionCandidates, matmulCandidates, type Candidate } from "./candidates.ts";
import type { Gpu } from "../device.ts";
import { openProductContest, ProductChecks } from "./product-contest.ts";
import { Budget, search } from "./search.ts";
import { attentionClass, attentionShape, productClass, shapeClasses } from "./shape-classes.ts";
import type { TuningRecord } from "./tuning-record.ts";
import { stageOn } from "../memory.ts";
import { isSoftware, tuningFor, type Tuning } from "../tuning.ts";

/** Whether there is nothing to search for. A software adapter has its entry in the table, and is slow to search on. */
export function isTuned(gpu: Gpu, spec: StageSpec, record: TuningRecord): boolean {
  return isSoftware(gpu.info) || classesOn(gpu, spec).every(({ key }) => record.best(key) !== undefined);
}

/**
 * Searches for the best variants for the stage's shape classes, as far as the record does not know them.
 * @throws when the device is lost, or has no room
 */
export async function autotune(
  gpu: Gpu,
  spec: StageSpec,
  record: TuningRecord,
  budgetMs = 10_000,
): Promise<void> {
  if (isTuned(gpu, spec, record)) return;
  const { precision } = stageOn(gpu.device, spec);
  const checks = new ProductChecks(gpu, precision);
  const entries = classesOn(gpu, spec).map((shapeClass) => ({
    key: shapeClass.key,
    open: () =>
      shapeClass.kind === "product"
        ? openProductContest(gpu, shapeClass.product, checks)
        : openAttentionContest(gpu, shapeClass.shape, precision),
  }));
  await search(entries, record, new Budget(budgetMs));
}

/** The classes of the stage as this GPU does it. */
const classesOn = (gpu: Gpu, spec: StageSpec) => shapeClasses(gpu, stageOn(gpu.device, spec));

/** The tuning for the stage: of the record where it knows the class, else the table's. */
export function tunedFor(gpu: Gpu, spec: StageSpec, record: TuningRecord): Tuning {
  const table = tuningFor(gpu);
  const found = <Variant>(candidates: readonly Candidate<Variant>[], shapeClass: string) =>
    candidates.find(({ name }) => name === record.best(shapeClass))?.variant;
  const { precision } = stageOn(gpu.device, spec);
  const attention = attentionClass(attentionShape(spec), precision);
  return {
    ...table,
    matmul: (product) =>
      found(matmulCandidates(gpu, product, precision), productClass(product, precision)) ??
      table.matmul(product),
    attention: (headWidth) =>
      found(attentionCandidates(gpu, headWidth, precision), attention) ?? table.attention(headWidth),
  };
}
