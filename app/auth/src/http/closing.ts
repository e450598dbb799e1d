/** Closing in order: no connection is left open for requests that will not be answered. */

import type { Socket } from "node:net";

import type { FastifyInstance } from "fastify";

/**
 * Fastify stops listening and hangs up on idle connections by itself. Added here are those that
 * are busy then, and those that a client opened beforehand and has not used yet.
 */
export function closeInOrder(app: FastifyInstance): void {
  let closing = false;
  const sockets = new Set<Socket>();

  app.server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  app.addHook("preClose", (done) => {
    closing = true;
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
    done();
  });
  app.addHook("onSend", (_request, reply, payload, done) => {
    if (closing) reply.header("connection", "close");
    done(null, payload);
  });
}
