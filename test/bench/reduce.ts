// The benchmark of codecs: how fast each encodes and decodes, in JavaScript and on the GPU, and what it loses.
// Not here: the reducer (reducers.ts).
import { CODECS, decode, encode, encodedBytes, type Codec } from "../../core/reduce/codec.ts";
import { encodeWithFeedback } from "../../core/reduce/error-feedback.ts";
import { decoded } from "../../core/reduce/transport.ts";
import type { Gpu } from "../../web/engine/device.ts";
import { KernelRegistry } from "../../web/engine/kernels.ts";
import { accumulate } from "../../web/engine/operations.ts";
import { Program } from "../../web/engine/program.ts";
import { dequantise, quantise, type BlockCodec } from "../../web/engine/quantise.ts";
import { mapped } from "../../web/engine/readback.ts";
import { workDone } from "../../web/engine/waiting.ts";
import { comparableBits, sampleValues } from "../fixtures/samples.ts";
import { benchReducers } from "./reducers.ts";
import type { Codecs } from "./result.ts";

/** Values that are timed: 16 MB of f32. */
const TIMED = 2 ** 22;
/** Values that errors are taken of. */
const JUDGED = 2 ** 17;
const DATA = ["normal", "heavy tails"] as const;
const ROUNDS = 20;
/** Short work is repeated in a sample until it takes about this long. */
const SAMPLE_SECONDS = 0.3;
const MOST_TIMES = 64;

type Row = Codecs["rows"][number];

/** @throws Error when a kernel's bits are not those of JavaScript */
export async function benchCodecs(gpu: Gpu, rounds: number, say: (line: string) => void): Promise<Codecs> {
  const values = sampleValues("normal", TIMED);
  const rows: Row[] = [];
  for (const codec of CODECS.filter((codec) => codec !== "f32")) {
    say(codec);
    const bytes = wire(codec, values);
    const encoding = await sampled(rounds, () => void encode(codec, values));
    const decoding = await sampled(rounds, () => void decode(codec, bytes, TIMED));
    rows.push({
      codec,
      bytes: encodedBytes(codec, TIMED),
      script: { encode: encoding, decode: decoding },
      gpu: codec === "f16" ? null : await onGpu(gpu, codec, values, bytes, rounds),
      errors: DATA.map((data) => ({ data, ...errorsOf(codec, data) })),
    });
  }
  return { values: TIMED, rounds: ROUNDS, rows, reducers: await benchReducers(rounds, say) };
}

async function onGpu(
  { device }: Gpu,
  codec: BlockCodec,
  values: Float32Array<ArrayBuffer>,
  bytes: Uint8Array<ArrayBuffer>,
  rounds: number,
): Promise<Row["gpu"]> {
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const buffer = (size: number, usage: number) => device.createBuffer({ size, usage });
  const wanted = buffer(values.byteLength, STORAGE | COPY_DST);
  const residual = buffer(values.byteLength, STORAGE);
  const said = buffer(values.byteLength, STORAGE | COPY_SRC);
  const encoded = buffer(bytes.length, STORAGE | COPY_SRC);
  const staging = buffer(bytes.length + values.byteLength, COPY_DST | MAP_READ);
  device.queue.writeBuffer(wanted, 0, values);
  const kernels = KernelRegistry.of(device);
  const count = values.length;
  const [quantising, dequantising] = await Promise.all([
    Program.record(device, kernels, [
      accumulate(count, { buffer: wanted }, { buffer: residual }),
      quantise(codec, count, { buffer: residual }, { buffer: encoded }),
    ]),
    Program.record(device, kernels, [dequantise(codec, count, { buffer: encoded }, { buffer: said })]),
  ]);
  const run = (program: Program) => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    program.replay(pass);
    pass.end();
    device.queue.submit([encoder.finish()]);
  };
  run(quantising);
  run(dequantising);
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(encoded, 0, staging, 0, bytes.length);
  encoder.copyBufferToBuffer(said, 0, staging, bytes.length, values.byteLength);
  device.queue.submit([encoder.finish()]);
  const got = await mapped(device.queue, staging, staging.size / 4);
  const expected = new Float32Array(got.length);
  expected.set(new Float32Array(bytes.buffer));
  expected.set(decode(codec, bytes, count), bytes.length / 4);
  const gotBits = comparableBits(got);
  const wrong = comparableBits(expected).findIndex((bits, i) => bits !== gotBits[i]);
  if (wrong >= 0) throw new Error(`${codec} on the GPU: word ${wrong} has other bits than in JavaScript`);
  const result = {
    encode: await sampled(rounds, () => run(quantising), device.queue),
    decode: await sampled(rounds, () => run(dequantising), device.queue),
  };
  for (const buffer of [wanted, residual, said, encoded, staging]) buffer.destroy();
  return result;
}

/** Seconds that `work` takes, a sample each the mean of several in a row. */
async function sampled(rounds: number, work: () => void, queue?: GPUQueue): Promise<number[]> {
  const timed = async (times: number) => {
    const start = performance.now();
    for (let i = 0; i < times; i++) work();
    if (queue) await workDone(queue);
    return (performance.now() - start) / 1000;
  };
  await timed(1);
  let times = 1;
  while (times < MOST_TIMES && (await timed(times)) < SAMPLE_SECONDS / 2) times *= 2;
  const samples = [];
  for (let i = 0; i < rounds; i++) samples.push((await timed(times)) / times);
  return samples;
}

/** Relative to the values: of one encoding, and of the sum of as many as there are rounds, each of new values. */
function errorsOf(codec: Codec, data: (typeof DATA)[number]): { once: number; summed: number } {
  const residual = new Float32Array(JUDGED);
  const wanted = new Float64Array(JUDGED);
  const said = new Float64Array(JUDGED);
  let once = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const values = sampleValues(data, JUDGED, round);
    const arrived = decoded(encodeWithFeedback(codec, values, residual));
    for (let i = 0; i < JUDGED; i++) {
      wanted[i]! += values[i]!;
      said[i]! += arrived[i]!;
    }
    if (round === 0) once = distance(said, wanted);
  }
  return { once, summed: distance(said, wanted) };
}

/** ||a - b|| / ||b|| */
function distance(a: Float64Array, b: Float64Array): number {
  let [off, all] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    off += (a[i]! - b[i]!) ** 2;
    all += b[i]! ** 2;
  }
  return Math.sqrt(off / all);
}

function wire(codec: Codec, values: Float32Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = encode(codec, values);
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}
