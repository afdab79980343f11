// AdamW (Loshchilov and Hutter, ICLR 2019) over a flat range of SIZE parameters, and the squared norm of a
// gradient. Weight decay is decoupled and holds where a bit says so: bit b of decay[w] is for the 128 elements
// from (32 w + b) * 128 on (tensors are aligned to 128 elements).

override SIZE: u32;

struct Update {
  // Factor on the gradient: 1 / tokens, times the clip factor.
  scale: f32,
  lr: f32,
  beta1: f32,
  beta2: f32,
  eps: f32,
  weight_decay: f32,
  // 1 / (1 - beta^step)
  correction1: f32,
  correction2: f32,
}

@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<uniform> update: Update;
@group(0) @binding(2) var<storage, read> decay: array<u32>;
@group(0) @binding(3) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> m: array<f32>;
@group(0) @binding(5) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(64)
fn adamw(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64 + id.x;
  if (i >= SIZE) { return; }
  let g = gradient[i] * update.scale;
  let mean = update.beta1 * m[i] + (1.0 - update.beta1) * g;
  let square = update.beta2 * v[i] + (1.0 - update.beta2) * g * g;
  m[i] = mean;
  v[i] = square;
  let decays = f32((decay[i / 4096] >> (i / 128 % 32)) & 1);
  let p = parameters[i];
  parameters[i] = p - update.lr *
    (update.weight_decay * decays * p + mean * update.correction1 / (sqrt(square * update.correction2) + update.eps));
}

// partial[i] = sum of squares of every PARTS-th element from i on.
override PARTS: u32 = 256;
@group(0) @binding(6) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(64)
fn squared_norm(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= PARTS) { return; }
  var sum = 0.0;
  for (var i = id.x; i < SIZE; i += PARTS) {
    sum += gradient[i] * gradient[i];
  }
  partial[id.x] = sum;
}
