// What becomes of f32 values that are kept as f16, two in a word: the nearest f16, or the largest where a value is past
// it; what is not finite becomes NaN, to be seen in the loss.

fn packed(pair: vec2f) -> u32 {
  let bad = (bitcast<vec2u>(pair) & vec2u(0x7fffffff)) >= vec2u(0x7f800000);
  let nan = select(vec2u(0), vec2u(0x7e00, 0x7e000000), bad);
  return pack2x16float(clamp(pair, vec2f(-65504.0), vec2f(65504.0))) | nan.x | nan.y;
}
