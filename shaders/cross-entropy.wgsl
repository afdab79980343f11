// Cross-entropy over logits[R,V]: losses[r] += ln sum_v e^logits[r,v] - logits[r, targets[r]], in nats.
// Rows whose target is IGNORE count for nothing. One invocation a row.

override R: u32;
override V: u32;
const IGNORE = 0xffffffffu;

@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;

fn logsumexp(row: u32) -> f32 {
  var largest = logits[row];
  for (var v = 1u; v < V; v++) { largest = max(largest, logits[row + v]); }
  var sum = 0.0;
  for (var v = 0u; v < V; v++) { sum += exp(logits[row + v] - largest); }
  return largest + log(sum);
}

@compute @workgroup_size(64)
fn loss(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= R || targets[id.x] == IGNORE) { return; }
  let row = id.x * V;
  losses[id.x] += logsumexp(row) - logits[row + targets[id.x]];
}

// The same, and the logits become the gradient of the sum of losses: softmax(logits) - onehot(target).
@compute @workgroup_size(64)
fn loss_and_gradient(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= R) { return; }
  let row = id.x * V;
  if (targets[id.x] == IGNORE) {
    for (var v = 0u; v < V; v++) { logits[row + v] = 0.0; }
    return;
  }
  let lse = logsumexp(row);
  losses[id.x] += lse - logits[row + targets[id.x]];
  for (var v = 0u; v < V; v++) {
    logits[row + v] = exp(logits[row + v] - lse);
  }
  logits[row + targets[id.x]] -= 1.0;
}
