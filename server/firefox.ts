// Finds Firefox and starts it, headless, with a profile of its own that goes when it does.
// Not here: driving its pages (firefox-page.ts). Playwright cannot drive a stock Firefox.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EXIT, UserError } from "./errors.ts";
import { programNamedBy, programOnPath } from "./programs.ts";

const NAMES = ["firefox", "firefox-esr"];
/** Firefox that does not end when asked to is killed after this. */
const GRACE_MS = 10_000;

const PREFERENCES: Readonly<Record<string, boolean | number | string>> = {
  // WebGPU, also where Firefox has it off or does not trust the driver.
  "dom.webgpu.enabled": true,
  "dom.webgpu.workers.enabled": true,
  "gfx.webgpu.ignore-blocklist": true,
  // Peer connections by address: an mDNS name means nothing to another machine.
  "media.peerconnection.ice.obfuscate_host_addresses": false,
  // Without leave to use the microphone Firefox offers the default route's address only, and none where there is no such
  // route; and it leaves out the loopback, which may be all there is.
  "permissions.default.microphone": 1,
  "media.peerconnection.ice.loopback": true,
  // A page that computes for long is not stuck.
  "dom.max_script_run_time": 0,
  // No first-run pages and no questions.
  "browser.aboutwelcome.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "browser.startup.homepage_override.mstone": "ignore",
  "datareporting.policy.dataSubmissionPolicyBypassNotification": true,
  // No traffic of the browser's own.
  "app.normandy.enabled": false,
  "app.update.auto": false,
  "browser.newtabpage.enabled": false,
  "browser.region.update.enabled": false,
  "browser.safebrowsing.downloads.enabled": false,
  "browser.safebrowsing.malware.enabled": false,
  "browser.safebrowsing.phishing.enabled": false,
  "browser.search.update": false,
  "datareporting.healthreport.uploadEnabled": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "dom.push.connection.enabled": false,
  "extensions.getAddons.cache.enabled": false,
  "extensions.systemAddon.update.enabled": false,
  "extensions.update.enabled": false,
  "media.gmp-manager.updateEnabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "services.settings.server": "data:,#remote-settings-dummy/v1",
  "toolkit.telemetry.archive.enabled": false,
  "toolkit.telemetry.enabled": false,
  "toolkit.telemetry.server": "data:,",
  "toolkit.telemetry.unified": false,
};

export interface HeadlessFirefox {
  /** The program. */
  readonly path: string;
  readonly profile: string;
  /** Resolves when it has ended, asked to or not. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

/** Path of a usable Firefox: TRIBUTARY_FIREFOX, or one on the PATH; null when there is none. */
export function findFirefox(): string | null {
  return programNamedBy("TRIBUTARY_FIREFOX") ?? programOnPath(NAMES);
}

/** @throws UserError that says what to install */
export function requireFirefox(): string {
  const path = findFirefox();
  if (path) return path;
  throw new UserError(
    "no Firefox was found: install one (Debian: apt install firefox-esr) or set TRIBUTARY_FIREFOX to its path",
    EXIT.noGpu,
  );
}

/** @param args an address to open, or options. @throws UserError when there is no Firefox */
export async function launchFirefox(...args: string[]): Promise<HeadlessFirefox> {
  const path = requireFirefox();
  const profile = await mkdtemp(join(tmpdir(), "tributary-firefox-"));
  const preferences = Object.entries(PREFERENCES).map(
    ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`,
  );
  await writeFile(join(profile, "user.js"), preferences.join(""));
  const firefox = spawn(path, ["--headless", "--no-remote", "--profile", profile, ...args], {
    stdio: "ignore",
    env: { ...process.env, MOZ_CRASHREPORTER_DISABLE: "1" },
    // Ctrl-C in a terminal is for this process, which ends Firefox after its pages have said goodbye.
    detached: true,
  });
  const abandon = () => void firefox.kill("SIGKILL");
  process.once("exit", abandon);
  // A program that does not start ends with "error", without "exit".
  const exited = new Promise<void>((resolve) =>
    firefox.once("exit", () => resolve()).once("error", () => resolve()),
  );
  const ended = exited.then(() => {
    process.off("exit", abandon);
    return rm(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  return {
    path,
    profile,
    ended,
    async close() {
      firefox.kill("SIGTERM");
      const kill = setTimeout(() => firefox.kill("SIGKILL"), GRACE_MS);
      await ended;
      clearTimeout(kill);
    },
  };
}
