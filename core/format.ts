// Numbers as people read them.

const BYTE_UNITS = ["kB", "MB", "GB", "TB"];

/** 1234567 -> "1.2 MB" (decimal units). */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  let value = bytes / 1000;
  let unit = 0;
  // What one decimal would round up to 1000.0 belongs to the next unit.
  while (value >= 999.95 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** FLOP/s: 1234567890 -> "1.2 GFLOP/s", 45e12 -> "45 TFLOP/s" */
export function formatFlops(perSecond: number): string {
  const [unit, name] = perSecond < 999.5e9 ? [1e9, "GFLOP/s"] : [1e12, "TFLOP/s"];
  return `${Number((perSecond / unit).toPrecision(2))} ${name}`;
}

/** 1234.6 -> "1,235" */
export function formatCount(count: number): string {
  return Math.round(count).toLocaleString("en");
}

/** "12 s", "3 min 5 s", "2 h 10 min" */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** 0.01234 -> "12.3 ms", 1.234 -> "1.23 s" */
export function formatSeconds(seconds: number): string {
  return seconds < 1
    ? `${Number((1000 * seconds).toPrecision(3))} ms`
    : `${Number(seconds.toPrecision(3))} s`;
}
