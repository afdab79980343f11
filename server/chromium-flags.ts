// How Chromium is started wherever Tributary starts it: headless workers, tests, benches.

/** WebGPU on (also where only SwiftShader is to be had), no page throttled, and no traffic of the browser's own. */
export const CHROMIUM_FLAGS: readonly string[] = [
  "--no-sandbox",
  "--enable-unsafe-webgpu",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--disable-features=WebRtcHideLocalIpsWithMdns",
  "--allow-loopback-in-peer-connection",
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
];

/** Added where the machine has no GPU: Chromium's own software adapter. */
export const SOFTWARE_ADAPTER_FLAG = "--use-webgpu-adapter=swiftshader";
