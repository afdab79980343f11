// Safetensors: an 8-byte little-endian header length, a JSON header of tensor names, dtypes, shapes and byte
// ranges, then the raw bytes. Source: the format's specification in the safetensors project.
// Reads F32, F16 and BF16 as f32; writes F32. Not here: what the tensors mean (huggingface.ts).
import { z } from "zod";
import { halfToFloat } from "./half.ts";

const HeaderEntry = z.object({
  dtype: z.string(),
  shape: z.array(z.number().int().min(0)),
  data_offsets: z.tuple([z.number().int().min(0), z.number().int().min(0)]),
});
// Not z.record: it drops a tensor named `__proto__`.
const Header = z.custom<Record<string, unknown>>(
  (json) => typeof json === "object" && json !== null && !Array.isArray(json),
);
const Metadata = z.record(z.string(), z.string());

const MAX_HEADER_BYTES = 100_000_000;

/** A file that is not safetensors, or that announces what it does not hold. */
export class SafetensorsError extends Error {
  override name = "SafetensorsError";
}

export interface NamedTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export interface TensorFile {
  readonly tensors: ReadonlyMap<string, NamedTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A file whose tensors are still to be written, each to its place. */
export interface FileDraft {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly places: ReadonlyMap<string, Float32Array<ArrayBuffer>>;
}

/** Lays tensors out in the order given; the header is padded so that the data starts at a multiple of 8 bytes. */
export function draftSafetensors(
  shapes: ReadonlyMap<string, readonly number[]>,
  metadata: Readonly<Record<string, string>> = {},
): FileDraft {
  const header = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) header.set("__metadata__", metadata);
  let end = 0;
  const ranges = Array.from(shapes, ([name, shape]) => {
    const start = end;
    end += 4 * shape.reduce((product, n) => product * n, 1);
    header.set(name, { dtype: "F32", shape, data_offsets: [start, end] });
    return { name, start, count: (end - start) / 4 };
  });
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const data = 8 + Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(data + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(data - 8), true);
  bytes.fill(0x20, 8, data);
  bytes.set(json, 8);
  const places = new Map(
    ranges.map(({ name, start, count }) => [name, new Float32Array(bytes.buffer, data + start, count)]),
  );
  return { bytes, places };
}

/** A whole file, tensors in the order given. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, NamedTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const shapes = new Map(Array.from(tensors, ([name, { shape }]) => [name, shape]));
  const { bytes, places } = draftSafetensors(shapes, metadata);
  for (const [name, { values }] of tensors) places.get(name)!.set(values);
  return bytes;
}

/** Reads a whole file. @throws SafetensorsError naming the tensor and what is wrong with it */
export function decodeSafetensors(file: Uint8Array): TensorFile {
  const { header, data } = splitFile(file);
  const tensors = new Map<string, NamedTensor>();
  let metadata: Record<string, string> = {};
  for (const [name, raw] of Object.entries(header)) {
    if (name === "__metadata__") {
      metadata = Metadata.parse(raw);
      continue;
    }
    const entry = HeaderEntry.safeParse(raw);
    if (!entry.success) throw new SafetensorsError(`tensor '${name}' has no dtype, shape and data_offsets`);
    const { dtype, shape, data_offsets } = entry.data;
    const [start, end] = data_offsets;
    if (start > end || end > data.length) {
      throw new SafetensorsError(`tensor '${name}' lies outside the file: is the download complete?`);
    }
    const values = decodeValues(name, dtype, data.subarray(start, end));
    const size = shape.reduce((product, n) => product * n, 1);
    if (values.length !== size) {
      throw new SafetensorsError(
        `tensor '${name}' of shape [${shape.join(", ")}] holds ${values.length} values`,
      );
    }
    tensors.set(name, { shape, values });
  }
  return { tensors, metadata };
}

function splitFile(file: Uint8Array): { header: Record<string, unknown>; data: Uint8Array } {
  if (file.length < 8) throw new SafetensorsError("not a safetensors file: shorter than 8 bytes");
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES || 8 + length > file.length) {
    throw new SafetensorsError("not a safetensors file, or cut short: its header does not fit in it");
  }
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
    return { header: Header.parse(json), data: file.subarray(8 + length) };
  } catch {
    throw new SafetensorsError("not a safetensors file: its header is not a JSON object");
  }
}

function decodeValues(name: string, dtype: string, bytes: Uint8Array): Float32Array {
  const copy = new Uint8Array(bytes).buffer;
  if (dtype === "F32") return new Float32Array(copy);
  if (dtype === "BF16") {
    const bits = Uint32Array.from(new Uint16Array(copy), (half) => half << 16);
    return new Float32Array(bits.buffer);
  }
  if (dtype === "F16") return Float32Array.from(new Uint16Array(copy), halfToFloat);
  throw new SafetensorsError(`tensor '${name}' has dtype ${dtype}; F32, F16 and BF16 can be read`);
}
