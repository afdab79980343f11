// Values that are exact in IEEE 754 binary16, as it.

/** @throws RangeError for a value that binary16 rounds, or that is not a normal number there */
export function toHalves(values: Float32Array): Uint16Array<ArrayBuffer> {
  return Uint16Array.from(new Uint32Array(values.buffer, values.byteOffset, values.length), (bits, i) => {
    if (bits << 1 === 0) return bits >>> 16;
    const exponent = ((bits >>> 23) & 0xff) - 127 + 15;
    if (exponent < 1 || exponent > 30 || (bits & 0x1fff) !== 0)
      throw new RangeError(`${values[i]} is not exact in f16`);
    return ((bits >>> 16) & 0x8000) | (exponent << 10) | ((bits >>> 13) & 0x3ff);
  });
}
