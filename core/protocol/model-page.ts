// What the model page (web/model) offers the command line, which calls it in a headless browser.

export interface ModelPage {
  /** Sum of -ln p over the targets, and how many there are. Tokens come from `tokensUrl`, as uint32. */
  evaluate(model: unknown, modelUrl: string, tokensUrl: string): Promise<{ lossSum: number; tokens: number }>;
  /** Continues `prompt` by `count` tokens; returns those. */
  sample(
    model: unknown,
    modelUrl: string,
    prompt: number[],
    count: number,
    temperature: number,
    seed: number,
  ): Promise<number[]>;
}
