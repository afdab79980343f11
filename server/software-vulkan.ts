// Where Chromium keeps its software Vulkan driver, which serves Dawn for Node too.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** The driver's description, in Debian's package or beside Playwright's browser; null when there is none. */
export function softwareVulkan(chromium: string): string | null {
  const files = ["/usr/lib/chromium", dirname(chromium)].map((folder) =>
    join(folder, "vk_swiftshader_icd.json"),
  );
  return files.find((file) => existsSync(file)) ?? null;
}
