// TensorFlow.js on its WebGPU backend: the product by itself. Its training step is in tfjs-training.ts.
import * as tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-webgpu";
import { Skipped, type Contender, type Matmul, type MatmulProblem } from "../contender.ts";
import { openTraining } from "./tfjs-training.ts";

export default async function open(): Promise<Contender> {
  if (!(await tf.setBackend("webgpu"))) throw new Skipped("TensorFlow.js finds no WebGPU device here");
  await tf.ready();
  return { matmul: openMatmul, training: openTraining };
}

async function openMatmul({ n, a, b, halves }: MatmulProblem): Promise<Matmul> {
  if (halves) throw new Skipped("measured in f32 only");
  const left = tf.tensor2d(a, [n, n]);
  const right = tf.tensor2d(b, [n, n]);
  return {
    async run(times) {
      for (let i = 1; i < times; i++) tf.matMul(left, right).dispose();
      // Reading one value of the last waits for all.
      const corner = tf.tidy(() => tf.matMul(left, right).slice([0, 0], [1, 1]));
      await corner.data();
      corner.dispose();
    },
    async product() {
      const product = tf.matMul(left, right);
      const values = await product.data<"float32">();
      product.dispose();
      return values;
    },
    dispose() {
      left.dispose();
      right.dispose();
    },
  };
}
