// The PeerJS broker through which leaders of different sites meet: the `peer` package behind our own HTTP server.
// Only its WebSocket side is used, at /peerjs, and only for upgrades that are handed to it: attached the usual
// way it would end every other WebSocket on the port.
// Not here: signals of site links (they go over the control WebSocket).
import { createServer, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { ExpressPeerServer } from "peer";
import { WebSocketServer } from "ws";
import { MAX_CONTROL_BYTES } from "../core/protocol/control.ts";

/** A call to a worker that has not registered is dropped, and the caller told, after this long. */
const EXPIRE_MS = 2000;

export interface Broker {
  /** Takes the upgrade request if its path is the broker's; else returns false and leaves it alone. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean;
  /** Ends all connections. The `peer` package keeps two timers for ever: the process must be exited. */
  close(): void;
}

/** @param key what pages must show to register; others are told "Invalid key provided" and cut off */
export function createBroker({ key }: { key: string }): Broker {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_CONTROL_BYTES });
  const broker = ExpressPeerServer(createServer(), {
    key,
    path: "/",
    expire_timeout: EXPIRE_MS,
    createWebSocketServer: () => sockets,
  });
  broker.on("error", () => {}); // of one client's connection, which ends by itself; unheard, it would end the server
  // `peer` begins its work when mounted in an Express application. Any will do; this one never serves a request.
  ExpressPeerServer(createServer()).use(broker);

  return {
    handleUpgrade(request, socket, head) {
      if (request.url?.split("?", 1)[0] !== "/peerjs") return false;
      sockets.handleUpgrade(request, socket, head, (webSocket) => {
        sockets.emit("connection", webSocket, request);
      });
      return true;
    },
    close() {
      for (const client of sockets.clients) client.terminate();
      sockets.close();
    },
  };
}
