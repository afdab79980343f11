// What the server and the page are told about this machine's GPU.
import type { Gpu as GpuDescription } from "../../core/protocol/control.ts";
import type { Gpu } from "../engine/device.ts";

export function describeGpu({ device, info }: Gpu): GpuDescription {
  return {
    vendor: info.vendor,
    architecture: info.architecture,
    description:
      info.description || [info.vendor, info.architecture].filter(Boolean).join(" ") || "unnamed GPU",
    browser: browserName(navigator.userAgent),
    features: [...device.features],
    maxBufferSize: device.limits.maxBufferSize,
    maxStorageBufferBindingSize: device.limits.maxStorageBufferBindingSize,
  };
}

/** "Firefox 153" from a user agent string; newer names come before those they pretend to be. */
export function browserName(userAgent: string): string {
  for (const [pattern, name] of [
    [/Edg\/(\d+)/, "Edge"],
    [/Firefox\/(\d+)/, "Firefox"],
    [/Chrom(?:e|ium)\/(\d+)/, "Chromium"],
    [/Version\/(\d+).*Safari/, "Safari"],
  ] as const) {
    const version = pattern.exec(userAgent)?.[1];
    if (version) return `${name} ${version}`;
  }
  return "unknown browser";
}
