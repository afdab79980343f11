// A block of a codec (core/reduce/block.ts): 4096 values, the last of a range shorter, a workgroup of 256 each.
// Values are bound as bits, so that what is not sent stays as it is, whatever a GPU does to small numbers and to NaN.

const BLOCK = 4096u;
const LANES = 256u;
// The largest magnitude of blocks that are sent as zeros is below the first, of those that are not numbers from the
// second on.
const SMALLEST = 0x12800000u;
const TOO_LARGE = 0x7b800000u;
const NOT_A_NUMBER = 0x7fc00000u;

@group(0) @binding(0) var<storage, read_write> values: array<u32>;
@group(0) @binding(1) var<storage, read_write> encoded: array<u32>;
// How many values there are.
@group(0) @binding(2) var<uniform> count: u32;

var<workgroup> largest: atomic<u32>;

// The largest magnitude of a block as bits; `own`: that of an invocation's values. Bits, because `max` of numbers may
// swallow NaN.
fn largest_of_block(own: u32) -> u32 {
  atomicMax(&largest, own);
  workgroupBarrier();
  return atomicLoad(&largest);
}

// The same of the values from `start` to `end`, which are the block's.
fn largest_between(start: u32, end: u32, lane: u32) -> u32 {
  var own = 0u;
  for (var i = start + lane; i < end; i += LANES) {
    own = max(own, values[i] & 0x7fffffffu);
  }
  return largest_of_block(own);
}
