// Cross-entropy over logits[R,PITCH], V of them in a row: losses[r] += ln sum_v e^logits[r,v] - logits[r, targets[r]],
// in nats. Rows whose target is IGNORE count for nothing. LANES invocations a row (shaders/parts/row*.wgsl).

override R: u32;
override V: u32;
override PITCH: u32;
const IGNORE = 0xffffffffu;

@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;

// One pass: the sum is relative to the largest logit so far. A logit that is not finite is looked for by its bits and
// makes the result NaN: `max` and `exp` may swallow it.
fn logsumexp(row: Row, index: u32) -> f32 {
  var largest = -3.0e38;
  var sum = 0.0;
  var broken = 0.0;
  for (var v = row.lane; v < V; v += LANES) {
    let value = logits[row.start + v];
    if ((bitcast<u32>(value) & 0x7f800000u) == 0x7f800000u) { broken = 1.0; }
    let next = max(largest, value);
    sum = sum * exp(largest - next) + exp(value - next);
    largest = next;
  }
  let top = max_of_row(largest, index);
  let result = top + log(sum_of_row(sum * exp(largest - top), index));
  let any_broken = max_of_row(broken, index);
  return select(result, bitcast<f32>(0x7f800000u | u32(any_broken)), any_broken > 0.0);
}

@compute @workgroup_size(64)
fn loss(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  let row = row_of(group, groups, index);
  let lse = logsumexp(row, index);
  if (row.index >= R || row.lane > 0) { return; }
  let target_token = targets[row.index];
  if (target_token == IGNORE) { return; }
  losses[row.index] += lse - logits[row.start + target_token];
}

// The same, and the logits become the gradient of the sum of losses: softmax(logits) - onehot(target), the padding
// of the row zero.
@compute @workgroup_size(64)
fn loss_and_gradient(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  let row = row_of(group, groups, index);
  let lse = logsumexp(row, index);
  if (row.index >= R) { return; }
  let target_token = targets[row.index];
  let counts = select(1.0, 0.0, target_token == IGNORE);
  for (var v = row.lane; v < PITCH; v += LANES) {
    let i = row.start + v;
    // The target's logit is only read by the lane that overwrites it.
    if (v == target_token) {
      losses[row.index] += lse - logits[i];
      logits[i] = exp(logits[i] - lse) - 1.0;
    } else if (v < V) {
      logits[i] = counts * exp(logits[i] - lse);
    } else {
      logits[i] = 0.0;
    }
  }
}
