// The training step in jax-js: the whole of it, gradient and AdamW included, is one jitted function, with its own
// attention, SiLU, log-softmax and one-hot rows. Tried in turn on SwiftShader, and no faster: weights stored [in, out];
// one product for q, k and v, and one for gate and up.
import { blockUntilReady, jit, nn, numpy as np, tree, valueAndGrad } from "@jax-js/jax";
import type { ModelConfig } from "../../../core/model/config.ts";
import { EMBEDDING, FINAL_NORM, HEAD, headWidth, parameterSpace } from "../../../core/model/parameters.ts";
import { rotations } from "../../../core/model/rotations.ts";
import type { StepProblem, Training } from "../contender.ts";

/** Arrays by Hugging Face name. */
type Parameters = { [name: string]: np.Array };

export async function openTraining(problem: StepProblem): Promise<Training> {
  const { model, sequences, batch, optimizer } = problem;
  const { lr, beta1, beta2, eps, weightDecay, clip } = optimizer;
  const { tensors } = parameterSpace(model);
  const decay = new Set(tensors.filter((tensor) => tensor.decay).map(({ name }) => name));
  const lossOf = meanLoss(model, sequences);

  const update = jit(
    (
      parameters: Parameters,
      m: Parameters,
      v: Parameters,
      inputs: np.Array,
      targets: np.Array,
      correction1: np.Array,
      correction2: np.Array,
    ) => {
      const [loss, raw] = valueAndGrad(lossOf)(tree.ref(parameters), inputs, targets);
      const gradient = raw as Parameters;
      const squares = Object.values(gradient).map((g) => np.sum(np.square(g.ref)));
      const norm = np.sqrt(squares.reduce((a, b) => a.add(b)));
      const scale = np.minimum(1, np.trueDivide(clip, norm));
      const next = { parameters: {} as Parameters, m: {} as Parameters, v: {} as Parameters };
      for (const name of Object.keys(parameters)) {
        const g = gradient[name]!.mul(scale.ref);
        const newM = m[name]!.mul(beta1).add(g.ref.mul(1 - beta1));
        const newV = v[name]!.mul(beta2).add(np.square(g).mul(1 - beta2));
        const direction = newM.ref.mul(correction1.ref).div(np.sqrt(newV.ref.mul(correction2.ref)).add(eps));
        const kept = decay.has(name) ? 1 - lr * weightDecay : 1;
        next.parameters[name] = parameters[name]!.mul(kept).sub(direction.mul(lr));
        next.m[name] = newM;
        next.v[name] = newV;
      }
      scale.dispose();
      correction1.dispose();
      correction2.dispose();
      return { loss, ...next };
    },
  );

  const fill = (values: (offset: number, size: number) => Float32Array<ArrayBuffer>): Parameters =>
    Object.fromEntries(
      tensors.map(({ name, shape, offset, size }) => [
        name,
        np.array(values(offset, size), { shape: [...shape] }),
      ]),
    );
  let state = {
    parameters: fill((offset, size) => problem.parameters.slice(offset, offset + size)),
    m: fill((_, size) => new Float32Array(size)),
    v: fill((_, size) => new Float32Array(size)),
  };
  let step = 0;
  return {
    async step() {
      step++;
      const { loss, ...next } = update(
        state.parameters,
        state.m,
        state.v,
        np.array(Int32Array.from(batch.inputs)),
        np.array(Int32Array.from(batch.targets)),
        np.array(1 / (1 - beta1 ** step)),
        np.array(1 / (1 - beta2 ** step)),
      );
      state = next;
      // Everything is on the queue after this, which works in order: the loss is read when the update is done.
      await blockUntilReady(next);
      return (await loss.jsAsync()) as number;
    },
    dispose() {
      tree.dispose(state);
      update.dispose();
    },
  };
}

function meanLoss(model: ModelConfig, B: number) {
  const { layers, width: C, heads: H, kvHeads: G, context: T, vocab: V, normEps } = model;
  const D = headWidth(model);
  const turns = rotations(T, D, model.ropeTheta);
  const cosines = turns.filter((_, i) => i % 2 === 0);
  const sines = turns.filter((_, i) => i % 2 === 1);

  const norm = (x: np.Array, gain: np.Array) => {
    const meanSquare = np.mean(np.square(x.ref), -1, { keepdims: true });
    return x.div(np.sqrt(meanSquare.add(normEps))).mul(gain);
  };
  const linear = (x: np.Array, weight: np.Array) => np.matmul(x, weight.transpose());
  const rope = (x: np.Array) => {
    const cos = np.array(cosines, { shape: [T, 1, D / 2] });
    const sin = np.array(sines, { shape: [T, 1, D / 2] });
    const [a, b] = np.split(x, 2, -1) as [np.Array, np.Array];
    return np.concatenate([a.ref.mul(cos.ref).sub(b.ref.mul(sin.ref)), b.mul(cos).add(a.mul(sin))], -1);
  };

  return (parameters: Parameters, inputs: np.Array, targets: np.Array): np.Array => {
    // As fast as `np.take`, whose gradient is a shader that Firefox does not accept.
    let x = np.matmul(nn.oneHot(inputs, V), parameters[EMBEDDING]!);
    for (let layer = 0; layer < layers; layer++) {
      const weight = (name: string) => parameters[`model.layers.${layer}.${name}.weight`]!;
      const normed = norm(x.ref, weight("input_layernorm"));
      const q = linear(normed.ref, weight("self_attn.q_proj")).reshape([B, T, H, D]);
      const k = linear(normed.ref, weight("self_attn.k_proj")).reshape([B, T, G, D]);
      const v = linear(normed, weight("self_attn.v_proj")).reshape([B, T, G, D]);
      const attended = nn.dotProductAttention(rope(q), rope(k), v, { isCausal: true }).reshape([B * T, C]);
      x = x.add(linear(attended, weight("self_attn.o_proj")));
      const normedMiddle = norm(x.ref, weight("post_attention_layernorm"));
      const gate = linear(normedMiddle.ref, weight("mlp.gate_proj"));
      const up = linear(normedMiddle, weight("mlp.up_proj"));
      x = x.add(linear(nn.silu(gate).mul(up), weight("mlp.down_proj")));
    }
    const logits = linear(norm(x, parameters[FINAL_NORM]!), parameters[HEAD]!);
    const logProbabilities = nn.logSoftmax(logits);
    return np.mean(np.sum(logProbabilities.mul(nn.oneHot(targets, V)), -1)).mul(-1);
  };
}
