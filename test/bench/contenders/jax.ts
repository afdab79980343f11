// jax-js (@jax-js/jax) on its WebGPU backend: the product by itself. Its training step is in jax-training.ts.
// Its arrays are counted: passing one to a function gives it away, `.ref` keeps it for another use.
import { blockUntilReady, defaultDevice, init, jit, numpy as np, tree } from "@jax-js/jax";
import { Skipped, type Contender, type Matmul, type MatmulProblem } from "../contender.ts";
import { openTraining } from "./jax-training.ts";

export default async function open(): Promise<Contender> {
  const devices = await init("webgpu");
  if (!devices.includes("webgpu")) throw new Skipped("jax-js finds no WebGPU device here");
  defaultDevice("webgpu");
  return { matmul: openMatmul, training: openTraining };
}

async function openMatmul({ n, a, b, halves }: MatmulProblem): Promise<Matmul> {
  if (halves) throw new Skipped("measured in f32 only");
  const left = np.array(a, { shape: [n, n] });
  const right = np.array(b, { shape: [n, n] });
  const multiply = jit((x: np.Array, y: np.Array) => np.matmul(x, y));
  return {
    async run(times) {
      // All are kept to the end: work is lazy, and a product given back before it was asked for is never computed.
      const products = Array.from({ length: times }, () => multiply(left.ref, right.ref));
      await blockUntilReady(products);
      // A queue works in order: a row of the last, once read, says that all are done.
      await products[times - 1]!.ref.slice(0).data();
      tree.dispose(products);
    },
    product: async () => (await multiply(left.ref, right.ref).data()) as Float32Array,
    dispose() {
      left.dispose();
      right.dispose();
      multiply.dispose();
    },
  };
}
