// The largest 64 values of each block of 4096, with a sign and one of two levels: the layout and the bits of
// core/reduce/top-k.ts. With shaders/parts/block.wgsl.
//
// Levels and their middle have no more than 14 significant bits, so nothing about them is rounded, fused or not.

const SPARSITY = 64u;
const INDEX_BITS = 12u;
const CODE_BITS = 2u;
const MOST_KEPT = BLOCK / SPARSITY;
// What is kept is at least a quarter of the largest: two exponents below it.
const QUARTER = 2u << 23;
// Halvings until a magnitude is found between a quarter and the whole.
const HALVINGS = 25u;
// An invocation has 16 values that follow each other, in vectors of four.
const VECTORS = 4u;
const RUN = 16u;
const GROUP = 16u;

fn kept_of(size: u32) -> u32 { return (size + SPARSITY - 1) / SPARSITY; }
fn words_of(bits: u32) -> u32 { return (bits + 31) / 32; }
fn block_words(size: u32) -> u32 {
  return 1 + words_of(kept_of(size) * INDEX_BITS) + words_of(kept_of(size) * CODE_BITS);
}

struct Levels {
  low: f32,
  high: f32,
  middle: f32,
}

// Of the word before a block's entries.
fn levels_of(head: u32) -> Levels {
  let lo = bitcast<f32>(head << 16);
  let hi = bitcast<f32>(head & 0xffff0000u);
  return Levels((3.0 * lo + hi) * 0.25, (lo + 3.0 * hi) * 0.25, (lo + hi) * 0.5);
}

// The smallest magnitude from a quarter of the largest on, upside down: nothing is zero.
var<workgroup> least_inverted: atomic<u32>;
// Values of the block at or above each magnitude tried.
var<workgroup> counts: array<atomic<u32>, HALVINGS>;
// Of each invocation, and of 16 of them: how many values are above the least kept (lower half), how many equal it.
var<workgroup> shares: array<u32, LANES>;
var<workgroup> sums: array<u32, LANES / GROUP>;
// Index and, from bit 12 on, code.
var<workgroup> entries: array<u32, MOST_KEPT>;

fn magnitude_at(i: u32, end: u32) -> u32 {
  if (i >= end) { return 0u; }
  return values[i] & 0x7fffffffu;
}

fn number_of(found: vec4<bool>) -> u32 {
  let ones = select(vec4u(0), vec4u(1), found);
  return ones.x + ones.y + ones.z + ones.w;
}

// Word `w` of numbers of `width` bits that lie in `entries` from bit `place` on, `number` of them, the last repeated
// up to `room`.
fn packed(w: u32, width: u32, place: u32, number: u32, room: u32) -> u32 {
  var word = 0u;
  for (var e = w * 32 / width; e * width < w * 32 + 32 && e < room; e++) {
    let entry = (entries[min(e, max(number, 1) - 1)] >> place) & ((1u << width) - 1);
    if (e * width < w * 32) {
      word |= entry >> (w * 32 - e * width);
    } else {
      word |= entry << (e * width - w * 32);
    }
  }
  return word;
}

// Encodes, and leaves in `values` what was left out. A workgroup a block.
@compute @workgroup_size(256)
fn quantise(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let block = group.y * groups.x + group.x;
  let start = block * BLOCK;
  if (start >= count) { return; }
  let end = min(start + BLOCK, count);
  let first = start + lane * RUN;
  let room = kept_of(end - start);

  var own: array<vec4u, VECTORS> = array<vec4u, VECTORS>();
  var own_largest = 0u;
  for (var v = 0u; v < VECTORS; v++) { // unroll
    let i = first + 4 * v;
    own[v] = vec4u(magnitude_at(i, end), magnitude_at(i + 1, end), magnitude_at(i + 2, end), magnitude_at(i + 3, end));
    own_largest = max(own_largest, max(max(own[v].x, own[v].y), max(own[v].z, own[v].w)));
  }
  let largest = largest_of_block(own_largest);
  let sent = largest >= SMALLEST && largest < TOO_LARGE;
  let broken = largest >= TOO_LARGE;

  let lowest = select(SMALLEST, largest, sent) - QUARTER;
  var inverted = 0u;
  for (var v = 0u; v < VECTORS; v++) { // unroll
    let large = select(vec4u(0), ~own[v], own[v] >= vec4u(lowest));
    inverted = max(inverted, max(max(large.x, large.y), max(large.z, large.w)));
  }
  atomicMax(&least_inverted, inverted);
  workgroupBarrier();

  // The largest magnitude that `room` values reach, or the smallest from `lowest` on where these are fewer.
  var least = ~atomicLoad(&least_inverted);
  var above = largest + 1;
  for (var n = 0u; n < HALVINGS; n++) {
    let middle = least + (above - least) / 2;
    var reach = 0u;
    for (var v = 0u; v < VECTORS; v++) { // unroll
      reach += number_of(own[v] >= vec4u(middle));
    }
    if (reach > 0) { atomicAdd(&counts[n], reach); }
    workgroupBarrier();
    if (atomicLoad(&counts[n]) >= room) { least = middle; } else { above = middle; }
  }

  // Where each invocation's entries begin.
  var larger = 0u;
  var equal = 0u;
  for (var v = 0u; v < VECTORS; v++) { // unroll
    larger += number_of(own[v] > vec4u(least));
    equal += number_of(own[v] == vec4u(least));
  }
  shares[lane] = larger | (equal << 16);
  workgroupBarrier();
  if (lane < LANES / GROUP) {
    var total = 0u;
    for (var i = 0u; i < GROUP; i++) { total += shares[lane * GROUP + i]; }
    sums[lane] = total;
  }
  workgroupBarrier();
  var before = 0u;
  var all = 0u;
  for (var i = 0u; i < LANES / GROUP; i++) {
    if (i == lane / GROUP) { before = all; }
    all += sums[i];
  }
  for (var i = lane / GROUP * GROUP; i < lane; i++) { before += shares[i]; }
  let ties = room - (all & 0xffffu);
  let number = min((all & 0xffffu) + (all >> 16), room);
  var ties_seen = before >> 16;
  var entry = (before & 0xffffu) + min(ties_seen, ties);

  var head = 0u;
  if (sent) { head = ((largest + 0xffffu) & 0xffff0000u) | (least >> 16); }
  if (broken) { head = NOT_A_NUMBER | (NOT_A_NUMBER >> 16); }
  let levels = levels_of(head);
  for (var v = 0u; v < VECTORS; v++) { // unroll
    for (var c = 0u; c < 4; c++) { // unroll
      let magnitude = own[v][c];
      let i = first + 4 * v + c;
      if (sent && (magnitude > least || (magnitude == least && ties_seen < ties))) {
        let value = values[i];
        let high = bitcast<f32>(magnitude) > levels.middle;
        entries[entry] = (i - start) | ((value >> 31) << INDEX_BITS) | (u32(high) << (INDEX_BITS + 1));
        entry++;
        let level = select(levels.low, levels.high, high);
        values[i] = bitcast<u32>(bitcast<f32>(value) - select(level, -level, value >> 31 == 1));
      }
      if (magnitude == least) { ties_seen++; }
      if (broken && i < end) { values[i] = NOT_A_NUMBER; }
    }
  }
  workgroupBarrier();

  let record = block * block_words(BLOCK);
  let index_words = words_of(room * INDEX_BITS);
  if (lane == 0) { encoded[record] = head; }
  for (var w = lane; w < block_words(end - start) - 1; w += LANES) {
    if (w < index_words) {
      encoded[record + 1 + w] = packed(w, INDEX_BITS, 0, number, room);
    } else {
      encoded[record + 1 + w] = packed(w - index_words, CODE_BITS, INDEX_BITS, number, room);
    }
  }
}

// The number of `width` bits, bit `bit` behind word `at` on being its first.
fn unpacked(at: u32, bit: u32, width: u32) -> u32 {
  let word = at + bit / 32;
  let shift = bit % 32;
  var number = encoded[word] >> shift;
  if (shift + width > 32) { number |= encoded[word + 1] << (32 - shift); }
  return number & ((1u << width) - 1);
}

// Decodes. A workgroup a block.
@compute @workgroup_size(256)
fn dequantise(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let block = group.y * groups.x + group.x;
  let start = block * BLOCK;
  if (start >= count) { return; }
  let end = min(start + BLOCK, count);
  let room = kept_of(end - start);
  let record = block * block_words(BLOCK);
  let head = encoded[record];
  let broken = (head & 0x7f800000u) == 0x7f800000u;
  for (var i = start + lane; i < end; i += LANES) {
    values[i] = select(0u, NOT_A_NUMBER, broken);
  }
  storageBarrier();
  if (broken || head == 0 || lane >= room) { return; }
  let levels = levels_of(head);
  let code = unpacked(record + 1 + words_of(room * INDEX_BITS), lane * CODE_BITS, CODE_BITS);
  let i = start + unpacked(record + 1, lane * INDEX_BITS, INDEX_BITS);
  let level = select(levels.low, levels.high, (code & 2) == 2);
  if (i < end) { values[i] = bitcast<u32>(select(level, -level, (code & 1) == 1)); }
}
