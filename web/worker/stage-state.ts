// Fills a stage from a seed or a checkpoint, and lays its state out as a checkpoint shard: safetensors with the
// model's parameters under their own names, and beside them, with a prefix each, what training goes on from.
// Not here: states that pass from worker to worker (held-state.ts, take-state.ts).
import { decodeSafetensors, draftSafetensors } from "../../core/formats/safetensors.ts";
import type { ModelConfig, RunConfig } from "../../core/model/config.ts";
import {
  borrowsEmbedding,
  EMBEDDING,
  initialTensor,
  ownedTensors,
  parameterSpace,
  type StageRange,
  type Tensor,
} from "../../core/model/parameters.ts";
import type { Shard, StateSource } from "../../core/protocol/control.ts";
import type { UnsaidGradients } from "../../core/reduce/error-feedback.ts";
import type { OuterState } from "../../core/reduce/outer.ts";
import type { Stage } from "../engine/stage.ts";
import type { BlobClient } from "./blobs.ts";

/** A stage, and what stands beside it. */
export interface StoredStage {
  readonly stage: Stage;
  readonly range: StageRange;
  /** Null in strategy `sync`. */
  readonly outer: OuterState | null;
  /** Null on replicas that do not keep it. */
  readonly unsaid: UnsaidGradients | null;
  readonly site: string;
}

const MOMENTS = [
  { what: "m", prefix: "adam.m/" },
  { what: "v", prefix: "adam.v/" },
] as const;

/** The site's own parameters, where the model's are what sites agree on. */
const OWN = "site/";

/** An array with a value for each of the stage's, kept on the page. */
interface Beside {
  readonly prefix: string;
  readonly values: Float32Array;
  /** The same in every site. */
  readonly shared: boolean;
}

function besides({ outer, unsaid }: StoredStage): Beside[] {
  const ofAll = outer ? [{ prefix: "outer.momentum/", values: outer.momentum, shared: true }] : [];
  const ofSite = unsaid
    ? [
        { prefix: "unsaid.terms/", values: unsaid.terms, shared: false },
        { prefix: "unsaid.sums/", values: unsaid.sums, shared: false },
      ]
    : [];
  return [...ofAll, ...ofSite];
}

/** Writes everything that the source has of what the stage owns or borrows; the rest stays zero. */
export async function loadState(
  stored: StoredStage,
  { config, state }: { config: RunConfig; state: Exclude<StateSource, { kind: "workers" }> },
  blobs: Pick<BlobClient, "get">,
): Promise<void> {
  const { stage, range } = stored;
  const { model, seed } = config;
  const space = parameterSpace(model);
  const owned = ownedTensors(space, range);
  const borrowed = borrowsEmbedding(model, range)
    ? space.tensors.filter(({ name }) => name === EMBEDDING)
    : [];
  if (state.kind === "seed") {
    for (const tensor of owned) writeModel(stored, tensor, initialTensor(model, tensor, seed));
    for (const tensor of borrowed) stage.writeEmbedding(initialTensor(model, tensor, seed));
    return;
  }
  for (const { hash, site } of state.shards) {
    const { tensors } = decodeSafetensors(new Uint8Array(await blobs.get(hash)));
    for (const tensor of owned) {
      const values = (prefix: string) => tensors.get(prefix + tensor.name)?.values;
      const parameters = values("");
      if (!parameters) continue;
      writeModel(stored, tensor, parameters, values(OWN));
      if (state.optimizer) writeTraining(stored, tensor, values, site === stored.site);
    }
    for (const { name } of borrowed) {
      const values = tensors.get(OWN + name) ?? tensors.get(name);
      if (values) stage.writeEmbedding(values.values);
    }
  }
}

function writeModel(
  { stage, outer }: StoredStage,
  { offset, size }: Tensor,
  agreed: Float32Array,
  own: Float32Array = agreed,
): void {
  stage.write("parameters", own, offset);
  outer?.part("anchor", { start: offset, end: offset + size }).set(agreed);
}

function writeTraining(
  stored: StoredStage,
  { offset }: Tensor,
  values: (prefix: string) => Float32Array | undefined,
  ofOwnSite: boolean,
): void {
  for (const { what, prefix } of MOMENTS) {
    const moments = values(prefix);
    if (moments) stored.stage.write(what, moments, offset);
  }
  for (const beside of besides(stored)) {
    const array = values(beside.prefix);
    if (array && (beside.shared || ofOwnSite)) beside.values.set(array, offset - stored.stage.segment.start);
  }
}

/** A shard in the making: of the stage as it was, whatever that does meanwhile. */
export interface ShardDraft {
  /** Reads it back and uploads it. @throws BlobError, or when `signal` says that nobody wants it any more */
  upload(blobs: Pick<BlobClient, "put">, signal: AbortSignal): Promise<Shard>;
}

/**
 * Resolves when the stage may go on. `whenWhole` calls back once the outer state is that after the step just done: at
 * once, or when exchanges under way have ended.
 */
export async function draftShard(
  stored: StoredStage,
  model: ModelConfig,
  whenWhole: (copy: () => void) => Promise<void>,
): Promise<ShardDraft> {
  const { stage, range, outer, site } = stored;
  const owned = ownedTensors(parameterSpace(model), range);
  const arrays = besides(stored);
  const own = outer ? OWN : "";
  const onGpu = [{ what: "parameters", prefix: own } as const, ...MOMENTS];
  const prefixes = new Set(["", ...[...MOMENTS, { prefix: own }, ...arrays].map(({ prefix }) => prefix)]);
  const shapes = [...prefixes].flatMap((prefix) =>
    owned.map(({ name, shape }) => [prefix + name, shape] as const),
  );
  const { bytes, places } = draftSafetensors(new Map(shapes));
  const put = (prefix: string, values: Float32Array) => {
    for (const { name, offset, size } of owned) {
      const first = offset - stage.segment.start;
      places.get(prefix + name)!.set(values.subarray(first, first + size));
    }
  };
  const snapshot = await stage.snapshot();
  const beside = whenWhole(() => {
    if (outer) put("", outer.anchor);
    for (const { prefix, values } of arrays) put(prefix, values);
  });
  // An exchange that fails is met by the upload; until then it must not count as unhandled.
  beside.catch(() => {});
  return {
    async upload(blobs, signal) {
      try {
        for (const { what, prefix } of onGpu) {
          signal.throwIfAborted();
          await snapshot.read(what, (values) => put(prefix, values));
        }
        await beside;
        const hash = await blobs.put(bytes, signal);
        const tensors = owned.map(({ name }) => name);
        return { hash, bytes: bytes.length, tensors, ...(arrays.length > 0 && { site }) };
      } finally {
        snapshot.drop();
      }
    },
  };
}
