// The training step in TensorFlow.js: its gradients by variable, its softmax cross-entropy, its Adam. A kernel runs for
// each operation (there is no jit); what a step makes is freed by one `tidy`. Tried in turn on SwiftShader, and slower:
// one product for q, k and v, and one for gate and up.
import * as tf from "@tensorflow/tfjs";
import type { ModelConfig } from "../../../core/model/config.ts";
import { EMBEDDING, FINAL_NORM, HEAD, headWidth, parameterSpace } from "../../../core/model/parameters.ts";
import { rotations } from "../../../core/model/rotations.ts";
import type { StepProblem, Training } from "../contender.ts";

/** A masked score: far enough below any other, and finite, so that no gradient is 0 × infinity. */
const MASKED = -1e9;

export async function openTraining(problem: StepProblem): Promise<Training> {
  const { model, sequences, batch, optimizer } = problem;
  const { lr, beta1, beta2, eps, weightDecay, clip } = optimizer;
  const { tensors } = parameterSpace(model);
  const variables = new Map(
    tensors.map(({ name, shape, offset, size }) => {
      const values = tf.tensor(problem.parameters.slice(offset, offset + size), [...shape]);
      return [name, tf.variable(values, true, `bench/${name}`)];
    }),
  );
  const matrices = tensors.filter(({ decay }) => decay).map(({ name }) => variables.get(name)!);
  const lossOf = meanLoss(model, sequences, (name) => variables.get(name)!);
  const adam = tf.train.adam(lr, beta1, beta2, eps);
  return {
    async step() {
      const loss = tf.tidy(() => {
        const inputs = tf.tensor1d(Int32Array.from(batch.inputs), "int32");
        const targets = tf.tensor1d(Int32Array.from(batch.targets), "int32");
        const { value, grads } = tf.variableGrads(() => lossOf(inputs, targets), [...variables.values()]);
        const squares = Object.values(grads).map((gradient) => gradient.square().sum());
        // Not addN: it binds every tensor to one kernel, more than WebGPU allows.
        const squaredNorm = squares.reduce((sum, square) => sum.add(square));
        const scale = tf.scalar(clip).div(squaredNorm.sqrt()).minimum(1);
        const clipped = Object.fromEntries(
          Object.entries(grads).map(([name, gradient]) => [name, gradient.mul(scale)]),
        );
        // AdamW: the decay is apart from Adam's means, and before its update.
        for (const matrix of matrices) matrix.assign(matrix.mul(1 - lr * weightDecay));
        adam.applyGradients(clipped);
        return value;
      });
      // The queue works in order: the loss is read when the update is done.
      const [value] = await loss.data();
      loss.dispose();
      return value!;
    },
    dispose() {
      adam.dispose();
      for (const variable of variables.values()) variable.dispose();
    },
  };
}

function meanLoss(model: ModelConfig, B: number, weight: (name: string) => tf.Variable) {
  const { layers, width: C, heads: H, context: T, vocab: V, normEps } = model;
  const D = headWidth(model);
  const turns = rotations(T, D, model.ropeTheta);
  const table = (first: number) =>
    tf.tensor(
      turns.filter((_, i) => i % 2 === first),
      [T, D / 2],
    );
  const [cos, sin] = [table(0), table(1)];
  const mask = tf.tidy(() =>
    tf.linalg
      .bandPart(tf.ones([T, T]), -1, 0)
      .sub(1)
      .mul(-MASKED),
  );

  const norm = (x: tf.Tensor, gain: tf.Tensor) =>
    x.mul(x.square().mean(-1, true).add(normEps).rsqrt()).mul(gain);
  const linear = (x: tf.Tensor, name: string) => tf.matMul(x, weight(name), false, true);
  /** [B*T, C] to [B, H, T, D]. */
  const toHeads = (x: tf.Tensor) => x.reshape([B, T, H, D]).transpose([0, 2, 1, 3]);
  const rope = (x: tf.Tensor) => {
    const [a, b] = tf.split(x, 2, -1) as [tf.Tensor, tf.Tensor];
    return tf.concat([a.mul(cos).sub(b.mul(sin)), b.mul(cos).add(a.mul(sin))], -1);
  };
  const attention = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) => {
    const scores = tf.matMul(rope(toHeads(q)), rope(toHeads(k)), false, true).mul(1 / Math.sqrt(D));
    const attended = tf.matMul(tf.softmax(scores.add(mask)), toHeads(v));
    return attended.transpose([0, 2, 1, 3]).reshape([B * T, C]);
  };

  return (inputs: tf.Tensor1D, targets: tf.Tensor1D): tf.Scalar => {
    let x: tf.Tensor = tf.gather(weight(EMBEDDING), inputs);
    for (let layer = 0; layer < layers; layer++) {
      const name = (end: string) => `model.layers.${layer}.${end}.weight`;
      const normed = norm(x, weight(name("input_layernorm")));
      const attended = attention(
        linear(normed, name("self_attn.q_proj")),
        linear(normed, name("self_attn.k_proj")),
        linear(normed, name("self_attn.v_proj")),
      );
      const middle = x.add(linear(attended, name("self_attn.o_proj")));
      const normedMiddle = norm(middle, weight(name("post_attention_layernorm")));
      const gate = linear(normedMiddle, name("mlp.gate_proj"));
      const up = linear(normedMiddle, name("mlp.up_proj"));
      x = middle.add(linear(gate.mul(gate.sigmoid()).mul(up), name("mlp.down_proj")));
    }
    const logits = linear(norm(x, weight(FINAL_NORM)), HEAD);
    return tf.losses.softmaxCrossEntropy(tf.oneHot(targets, V), logits).asScalar();
  };
}
