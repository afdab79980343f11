// Without subgroups each invocation reads all it needs itself.

const SHARES = false;

fn handed_round(own: vec4f) -> array<vec4f, 4> {
  return array(own, own, own, own);
}
