// The shape of a matrix product, for its own file and for what becomes of it.

// In a uniform, not in constants: one pipeline serves all shapes.
struct Shape {
  M: u32,
  N: u32,
  K: u32,
  // Quads in a row of C.
  columns: u32,
  // Not 0: the product is added to C.
  accumulate: u32,
}

@group(0) @binding(5) var<uniform> shape: Shape;
