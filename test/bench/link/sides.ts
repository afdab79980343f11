// The two pages of the benchmark of links, as workers are called.
export const SIDES = ["east-1", "west-1"] as const;
