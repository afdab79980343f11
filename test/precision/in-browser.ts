// Runs a comparison of f32 and f16 in a browser, from its page's build to its report.
import { openChromium, openFirefox } from "../bench/browsers.ts";
import { serveTask } from "../bench/serve.ts";
import { Report, type Job } from "./job.ts";

/** `gpu`: let Chromium choose its adapter. @throws UserError when the browser or its page fails */
export async function compareInBrowser(
  browser: "chromium" | "firefox",
  job: Job,
  { say = () => {}, gpu = false }: { say?: (line: string) => void; gpu?: boolean } = {},
): Promise<Report> {
  const served = await serveTask({ sources: "test/precision", job, report: Report, say });
  try {
    const page = await (browser === "firefox" ? openFirefox(served.url) : openChromium(served.url, gpu));
    try {
      return await Promise.race([served.report, page.broken]);
    } finally {
      await page.close();
    }
  } finally {
    served.close();
  }
}
