// Blocks of 4096 values as integers of 8 or 4 bits that share a scale: the layout and the bits of
// core/reduce/block-integers.ts. With shaders/parts/block.wgsl.
//
// Nothing depends on how a GPU divides, rounds or fuses: a scale is made of whole numbers and has 8 significant bits,
// so integer * scale and what is left of a value are exact, and an integer that a division put beside the nearest is
// put right by what it leaves.

// 8 or 4.
override BITS: u32;

// Bits of the f32 next above largest / 127 (or 7) with 8 significant bits.
fn scale_of(largest: u32) -> u32 {
  let most = (1u << (BITS - 1)) - 1;
  let significand = (largest & 0x7fffffu) | 0x800000u;
  var unit = most << (17 - BITS);
  var exponent = (largest >> 23) - (BITS - 1);
  if (significand > 255 * unit) {
    unit *= 2;
    exponent++;
  }
  return (exponent << 23) | (((significand + unit - 1) / unit - 128) << 16);
}

// The integer nearest to value / scale, ties to even.
fn nearest(value: f32, scale: f32) -> i32 {
  let rounded = round(value / scale);
  let left = value - rounded * scale;
  let half = 0.5 * scale;
  let integer = i32(rounded);
  let odd = (integer & 1) == 1;
  let below = left > half || (odd && left == half);
  let above = left < -half || (odd && left == -half);
  return integer + select(0, 1, below) - select(0, 1, above);
}

fn words_of(size: u32) -> u32 {
  return (size * BITS + 31) / 32;
}

// Encodes, and leaves in `values` what was left out. A workgroup a block.
@compute @workgroup_size(256)
fn quantise(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let block = group.y * groups.x + group.x;
  let start = block * BLOCK;
  if (start >= count) { return; }
  let end = min(start + BLOCK, count);
  let largest = largest_between(start, end, lane);
  let sent = largest >= SMALLEST && largest < TOO_LARGE;
  let broken = largest >= TOO_LARGE;
  let scale_bits = scale_of(select(SMALLEST, largest, sent));
  let scale = bitcast<f32>(scale_bits);

  let head = block * (1 + words_of(BLOCK));
  if (lane == 0) { encoded[head] = select(select(0u, NOT_A_NUMBER, broken), scale_bits, sent); }
  let per_word = 32 / BITS;
  let mask = (1u << BITS) - 1;
  for (var w = lane; w < words_of(end - start); w += LANES) {
    var word = 0u;
    let first = start + w * per_word;
    for (var i = first; i < min(first + per_word, end); i++) {
      if (sent) {
        let value = bitcast<f32>(values[i]);
        let integer = nearest(value, scale);
        word |= (u32(integer) & mask) << ((i - first) * BITS);
        // Where nothing was taken away nothing changes, subnormal numbers neither.
        if (integer != 0) { values[i] = bitcast<u32>(value - f32(integer) * scale); }
      } else if (broken) {
        values[i] = NOT_A_NUMBER;
      }
    }
    encoded[head + 1 + w] = word;
  }
}

// Decodes; an invocation a value.
@compute @workgroup_size(256)
fn dequantise(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * LANES + lane;
  if (i >= count) { return; }
  let head = i / BLOCK * (1 + words_of(BLOCK));
  let bit = i % BLOCK * BITS;
  // Shifted up and down again, for the sign.
  let integer = bitcast<i32>(encoded[head + 1 + bit / 32] << (32 - BITS - bit % 32)) >> (32 - BITS);
  let scale = encoded[head];
  let broken = (scale & 0x7f800000u) == 0x7f800000u;
  values[i] = select(bitcast<u32>(f32(integer) * bitcast<f32>(scale)), NOT_A_NUMBER, broken);
}
