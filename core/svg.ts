// Drawings as SVG: a page of so many parts, and words that are safe in it.

export function svgPage(width: number, height: number, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">\n<rect width="${width}" height="${height}" fill="#fff"/>\n${parts.join("\n")}\n</svg>\n`;
}

/** `more`: attributes, with a space in front. */
export const svgText = (x: number, y: number, words: string, more = ""): string =>
  `<text x="${x}" y="${y}"${more}>${escaped(words)}</text>`;

const escaped = (words: string): string => words.replace(/&/g, "&amp;").replace(/</g, "&lt;");
