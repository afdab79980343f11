// Rotary position embedding (Su et al., 2021) on half-rotated pairs (i, i + D/2), as in Hugging Face's Llama:
// the pair of position t turns by t theta^(-2i/D), whose cosine and sine are turns[t, i] (core/model/rotations.ts).
// In place on the first HEADS heads of x[R, PITCH]; position = row % T. The backward of a rotation is the rotation
// back (DIRECTION -1). One invocation a pair.

override R: u32;
override T: u32;
override HEADS: u32;
override D: u32;
override PITCH: u32;
override DIRECTION: f32 = 1.0;

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read> turns: array<vec2f>;

@compute @workgroup_size(64)
fn rotate(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let half = D / 2;
  let pair = id.y * groups.x * 64 + id.x;
  if (pair >= R * HEADS * half) { return; }
  let i = pair % half;
  let head = pair / half % HEADS;
  let row = pair / half / HEADS;
  let first = row * PITCH + head * D + i;
  let second = first + half;
  let turn = turns[(row % T) * half + i];
  let c = turn.x;
  let s = DIRECTION * turn.y;
  let u = x[first];
  let v = x[second];
  x[first] = u * c - v * s;
  x[second] = v * c + u * s;
}
