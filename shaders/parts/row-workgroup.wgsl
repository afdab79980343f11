// A workgroup of 64 works on a row together: what each has is joined in a tree, always in the same order.

const LANES = 64u;

var<workgroup> shares: array<f32, LANES>;

fn sum_of_row(value: f32, index: u32) -> f32 {
  shares[index] = value;
  workgroupBarrier();
  for (var half = LANES / 2; half > 0; half /= 2) {
    if (index < half) { shares[index] += shares[index + half]; }
    workgroupBarrier();
  }
  let sum = workgroupUniformLoad(&shares[0]);
  return sum;
}

fn max_of_row(value: f32, index: u32) -> f32 {
  shares[index] = value;
  workgroupBarrier();
  for (var half = LANES / 2; half > 0; half /= 2) {
    if (index < half) { shares[index] = max(shares[index], shares[index + half]); }
    workgroupBarrier();
  }
  let largest = workgroupUniformLoad(&shares[0]);
  return largest;
}
