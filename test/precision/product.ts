// A product whose second matrix is stored in f16, in the two layouts that weights are multiplied in, against float64.
import { floatToHalf, halfToFloat } from "../../core/formats/half.ts";
import { matmul as reference } from "../../core/model/reference/matmul.ts";
import { Random } from "../../core/random.ts";
import type { Gpu } from "../../web/engine/device.ts";
import { KernelRegistry } from "../../web/engine/kernels.ts";
import { matmul, type Product } from "../../web/engine/matmul.ts";
import { Program } from "../../web/engine/program.ts";
import { mapped } from "../../web/engine/readback.ts";
import { tuningFor } from "../../web/engine/tuning.ts";

const [M, N, K] = [33, 68, 132];

/** Largest error, relative to the largest result. */
export async function productError(gpu: Gpu): Promise<number> {
  const random = new Random(1);
  const a = Float32Array.from({ length: M * K }, () => random.unit() - 0.5);
  const halves = Uint16Array.from({ length: N * K }, () => floatToHalf(random.unit() - 0.5));
  const b = Float64Array.from(halves, halfToFloat);
  const errors = [];
  for (const layout of ["nt", "nn"] as const) {
    const expected = reference(Float64Array.from(a), b, { M, N, K, transposeB: layout === "nt" });
    const actual = await multiplied(gpu, { layout, M, N, K }, a, halves);
    const largest = Math.max(...expected.map(Math.abs));
    errors.push(...expected.map((value, i) => Math.abs(actual[i] - value) / largest));
  }
  return Math.max(...errors);
}

async function multiplied(
  gpu: Gpu,
  product: Product,
  a: Float32Array<ArrayBuffer>,
  halves: Uint16Array<ArrayBuffer>,
): Promise<Float32Array> {
  const { device } = gpu;
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const upload = (values: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>) => {
    const buffer = device.createBuffer({ size: values.byteLength, usage: STORAGE | COPY_DST });
    device.queue.writeBuffer(buffer, 0, values);
    return buffer;
  };
  const c = device.createBuffer({ size: M * N * 4, usage: STORAGE | COPY_SRC });
  const staging = device.createBuffer({ size: M * N * 4, usage: MAP_READ | COPY_DST });
  const b = { buffer: upload(halves), halves: true };
  const variant = tuningFor(gpu).matmul(product);
  const operation = matmul(variant, product, { buffer: upload(a) }, b, { kind: "store", c: { buffer: c } });
  const program = await Program.record(device, KernelRegistry.of(device), [operation]);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  program.replay(pass);
  pass.end();
  encoder.copyBufferToBuffer(c, 0, staging, 0, M * N * 4);
  device.queue.submit([encoder.finish()]);
  return mapped(device.queue, staging, M * N);
}
