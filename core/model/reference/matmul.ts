// Matrix products in float64, row-major: the truth that matmul kernels are tested against.
// Not here: speed. Three plain loops, no tiling.

/** C[M,N] = op(A) op(B), where op(A) is [M,K] and op(B) is [K,N]. */
export interface MatmulShape {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** A is stored [K,M]. */
  readonly transposeA?: boolean;
  /** B is stored [N,K]. */
  readonly transposeB?: boolean;
}

/** A linear layer: M rows, K inputs, N outputs. */
export interface LinearShape {
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** C[m,n] = sum_k op(A)[m,k] op(B)[k,n]. */
export function matmul(a: Float64Array, b: Float64Array, shape: MatmulShape): Float64Array {
  const { M, N, K, transposeA = false, transposeB = false } = shape;
  const c = new Float64Array(M * N);
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) {
        sum += a[transposeA ? k * M + m : m * K + k] * b[transposeB ? n * K + k : k * N + n];
      }
      c[m * N + n] = sum;
    }
  }
  return c;
}

/** y[M,N] = x[M,K] W^T with Hugging Face's weight W[N,K], no bias. */
export function linear(x: Float64Array, weight: Float64Array, { M, N, K }: LinearShape): Float64Array {
  return matmul(x, weight, { M, N, K, transposeB: true });
}

/** dx[M,K] = dy[M,N] W[N,K]. */
export function linearInputGradient(
  dy: Float64Array,
  weight: Float64Array,
  { M, N, K }: LinearShape,
): Float64Array {
  return matmul(dy, weight, { M, N: K, K: N });
}

/** dW[N,K] = dy^T x, for dy[M,N] and x[M,K]. */
export function linearWeightGradient(
  dy: Float64Array,
  x: Float64Array,
  { M, N, K }: LinearShape,
): Float64Array {
  return matmul(dy, x, { M: N, N: K, K: M, transposeA: true });
}
