// The engine in Firefox, whose software adapter differs from SwiftShader in Chromium and Dawn. It has shader-f16: a
// product with f16 weights and attention in f16 against float64, and a training whose losses stay by those of f32. It ends long loops.
import { expect, test } from "vitest";
import { findFirefox } from "../../server/firefox.ts";
import { readText } from "../../server/corpus.ts";
import { tinyConfig } from "../fixtures/configs.ts";
import { compareInBrowser } from "../precision/in-browser.ts";

const STEPS = 8;

test.skipIf(!findFirefox())(
  "products, attention and training in f16, and a large vocabulary (where Firefox is installed)",
  async () => {
    const config = tinyConfig({ steps: STEPS });
    const text = (await readText(config.data.text)).slice(0, 20_000);
    const report = await compareInBrowser("firefox", { config, text });
    const { hasHalves, wrongAttention, productError, largeVocabularyError, losses, validation } = report;
    expect(largeVocabularyError).toBeLessThan(1e-5);
    expect(losses).toHaveLength(STEPS);
    expect(losses[0].f32).toBeCloseTo(Math.log(256), 0);
    expect(losses[STEPS - 1].f32).toBeLessThan(losses[0].f32);
    const differences = [...losses, validation].map(({ f32, f16 }) => Math.abs(f16 - f32));
    if (hasHalves) {
      expect(productError).toBeLessThan(2e-6);
      expect(wrongAttention).toEqual([]);
      expect(Math.max(...differences)).toBeLessThan(0.01);
      expect(Math.max(...differences)).toBeGreaterThan(0);
    } else {
      expect(differences.every((difference) => difference === 0)).toBe(true);
    }
  },
);
