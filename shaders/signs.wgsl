// The signs of blocks of 4096 values, and their mean magnitude: the layout and the bits of core/reduce/signs.ts. With
// shaders/parts/block.wgsl.
//
// Nothing depends on how a GPU divides or rounds: the mean is a whole number, and so is what it is a multiple of.

// Of a significand of 24 bits, how many the sum does without.
const CUT_BITS = 6u;
// The exponent of a mean's lowest bit is so much below that of the block's largest value.
const UNIT_BELOW = 17u;
const BLOCK_WORDS = 1 + BLOCK / 32;

var<workgroup> sum: atomic<u32>;
var<workgroup> signs: array<atomic<u32>, BLOCK / 32>;

// A magnitude in units of 2^-17 of the power of two in `exponent`, rounded down: 18 bits.
fn in_units(bits: u32, exponent: u32) -> u32 {
  let own = (bits >> 23) & 0xffu;
  let significand = (bits & 0x7fffffu) | 0x800000u;
  return select(0u, (significand >> CUT_BITS) >> min(exponent - own, 31u), own > 0);
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
  let exponent = select(SMALLEST, largest, sent) >> 23;

  var own_sum = 0u;
  if (sent) {
    for (var i = start + lane; i < end; i += LANES) {
      own_sum += in_units(values[i], exponent);
      atomicOr(&signs[(i - start) / 32], (values[i] >> 31) << ((i - start) % 32));
    }
  }
  atomicAdd(&sum, own_sum);
  workgroupBarrier();
  let mean = f32(atomicLoad(&sum) / (end - start)) * bitcast<f32>((exponent - UNIT_BELOW) << 23);

  for (var i = start + lane; i < end; i += LANES) {
    if (sent) {
      let value = bitcast<f32>(values[i]);
      values[i] = bitcast<u32>(value - select(mean, -mean, values[i] >> 31 == 1));
    } else if (broken) {
      values[i] = NOT_A_NUMBER;
    }
  }
  let record = block * BLOCK_WORDS;
  if (lane == 0) { encoded[record] = select(select(0u, NOT_A_NUMBER, broken), bitcast<u32>(mean), sent); }
  for (var w = lane; w < (end - start + 31) / 32; w += LANES) {
    encoded[record + 1 + w] = atomicLoad(&signs[w]);
  }
}

// Decodes; an invocation a value.
@compute @workgroup_size(256)
fn dequantise(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * LANES + lane;
  if (i >= count) { return; }
  let record = i / BLOCK * BLOCK_WORDS;
  let bit = i % BLOCK;
  values[i] = encoded[record] | (((encoded[record + 1 + bit / 32] >> (bit % 32)) & 1) << 31);
}
