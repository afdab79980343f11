// Where an invocation stands in rows of PITCH values, R of them: LANES invocations share a row.

struct Row {
  index: u32,
  start: u32,
  lane: u32,
}

fn row_of(group: vec3u, groups: vec3u, index: u32) -> Row {
  let row = (group.y * groups.x + group.x) * (64 / LANES) + index / LANES;
  return Row(row, min(row, R - 1) * PITCH, index % LANES);
}
