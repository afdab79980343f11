// One invocation works on a row alone.

const LANES = 1u;

fn sum_of_row(value: f32, index: u32) -> f32 {
  return value;
}

fn max_of_row(value: f32, index: u32) -> f32 {
  return value;
}
