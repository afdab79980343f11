// The angles of RoPE as cosines and sines, made once on the CPU: a GPU's own are good to 2^-11 only, and only for
// small angles, and each GPU's differ.

/**
 * [T, D/2, 2] in f32: cosine and sine of t * theta^(-2i/D), by which pair i of a head of width D turns at
 * position t.
 */
export function rotations(T: number, D: number, theta: number): Float32Array<ArrayBuffer> {
  const turns = new Float32Array(T * D);
  for (let t = 0; t < T; t++) {
    for (let i = 0; i < D; i += 2) {
      const angle = t * theta ** (-i / D);
      turns[t * D + i] = Math.cos(angle);
      turns[t * D + i + 1] = Math.sin(angle);
    }
  }
  return turns;
}
