// A file as bytes, however large: Node's readFile ends at 2 GiB, and a shard or a model is often more.
import { open } from "node:fs/promises";

const PIECE_BYTES = 2 ** 30;

export async function readWhole(path: string, piece = PIECE_BYTES): Promise<Uint8Array<ArrayBuffer>> {
  const file = await open(path);
  try {
    const bytes = new Uint8Array((await file.stat()).size);
    for (let at = 0; at < bytes.length;) {
      const { bytesRead } = await file.read(bytes, at, Math.min(piece, bytes.length - at), at);
      if (bytesRead === 0) throw new Error(`${path} became shorter while it was read`);
      at += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}
