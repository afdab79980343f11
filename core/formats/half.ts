// IEEE 754 binary16, to and from numbers and f32 values.

/** The bits of the nearest binary16, ties to even; what is too large becomes infinite, NaN stays NaN. */
export function floatToHalf(value: number): number {
  single[0] = value;
  const bits = singleBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // From 65520 on the nearest is infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  // Below 2^-14 halves are multiples of 2^-24: scaled to whole numbers, where f64 rounds ties to even by itself.
  if (magnitude < 0x38800000) return sign | roundToEven(Math.abs(single[0]!) * 2 ** 24);
  // Half of the last place that stays, less one where that place is even; carries run into the exponent.
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** The number of binary16 bits, exact. */
export function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The nearest binary16 of each, as floatToHalf. */
export function toHalves(values: Float32Array): Uint16Array<ArrayBuffer> {
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) halves[i] = floatToHalf(values[i]!);
  return halves;
}

/** The reverse, exact. */
export function fromHalves(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(halves.length);
  const bits = new Uint32Array(values.buffer);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i]!;
    // Exponents of halves are 112 lower; of subnormal ones, too, once the fraction has its place.
    const broken = (half & 0x7c00) === 0x7c00 ? 0x7f800000 : 0;
    bits[i] = ((half & 0x8000) << 16) | ((half & 0x7fff) << 13) | broken;
    values[i] = values[i]! * 2 ** 112;
  }
  return values;
}

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

function roundToEven(value: number): number {
  const below = Math.floor(value);
  const over = value - below;
  return below + (over > 0.5 || (over === 0.5 && below % 2 === 1) ? 1 : 0);
}
