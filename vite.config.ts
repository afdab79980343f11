// `vite build` makes the pages into dist/web; vitest runs the projects below.
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";
import { CHROMIUM_FLAGS, SOFTWARE_ADAPTER_FLAG } from "./server/chromium-flags.ts";
import { softwareVulkan } from "./server/software-vulkan.ts";

const root = dirname(fileURLToPath(import.meta.url));
const chromium = process.env.TRIBUTARY_CHROMIUM ?? "/usr/bin/chromium";

export default defineConfig({
  root: process.env.VITEST ? root : join(root, "web"),
  build: {
    outDir: join(root, "dist/web"),
    emptyOutDir: true,
    target: "es2023",
    rolldownOptions: {
      input: {
        coordinator: join(root, "web/index.html"),
        worker: join(root, "web/worker.html"),
        model: join(root, "web/model.html"),
      },
    },
  },
  worker: { format: "es" },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/{core,server,web}/**/*.test.ts"],
          // By default one core of several is left alone: of two, half of the machine.
          maxWorkers: "100%",
          testTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          name: "dawn",
          include: ["test/kernels/**/*.test.ts"],
          // A machine with a Vulkan driver of its own names it in VK_DRIVER_FILES.
          env: {
            VK_DRIVER_FILES: process.env.VK_DRIVER_FILES ?? softwareVulkan(chromium) ?? "",
            XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? tmpdir(),
          },
          testTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        extends: true,
        // A dependency that vite only meets in the middle of a test reloads the page.
        optimizeDeps: { include: ["idb-keyval", "zod"] },
        test: {
          name: "chromium",
          include: ["test/kernels/**/*.test.ts"],
          testTimeout: 120_000,
          fileParallelism: false,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({
              launchOptions: { executablePath: chromium, args: [...CHROMIUM_FLAGS, SOFTWARE_ADAPTER_FLAG] },
            }),
            instances: [{ browser: "chromium" }],
          },
        },
      },
      {
        extends: true,
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
