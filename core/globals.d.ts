// The few globals that browsers, dedicated workers and Node all have, and that core/ may use.
// core/ is type-checked on its own (core/tsconfig.json) without the DOM's and Node's types.

declare class TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>;
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean });
  decode(bytes: ArrayBuffer | ArrayBufferView): string;
}
