// The four invocations of a quad read one value each and hand it round. For workgroups whose invocations lie in
// subgroups in the order of local_invocation_index, as all known drivers lay out one-dimensional ones; a kernel is
// checked on the adapter before it is used there.
enable subgroups;

const SHARES = true;

fn handed_round(own: vec4f) -> array<vec4f, 4> {
  return array(quadBroadcast(own, 0u), quadBroadcast(own, 1u), quadBroadcast(own, 2u), quadBroadcast(own, 3u));
}
