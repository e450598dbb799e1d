/** The contract's auth operations. */

import type { FastifyInstance, FastifyReply } from "fastify";

import { readBody } from "../http/fields";
import { sendJson } from "../http/answers";
import { CREDENTIALS, REFRESH_REQUEST, REGISTRATION } from "./bodies";
import type { AuthService, TokenPair } from "./service";
import type { AccessTokens } from "./tokens";

/**
 * Registers the operations. `requireReady` throws until start-up is done; it comes after the
 * checks of the request itself, as a store that is away does later on.
 */
export function authRoutes(
  app: FastifyInstance,
  service: AuthService,
  keySet: AccessTokens["keySet"],
  requireReady: () => void,
): void {
  app.post("/api/v1/auth/register", async (request, reply) => {
    const registration = readBody(REGISTRATION, request.body);
    requireReady();
    const { id, email, name, createdAt } = await service.register(registration);
    return sendJson(reply.code(201), { id, email, name, created_at: createdAt });
  });

  app.post("/api/v1/auth/login", async (request, reply) => {
    const credentials = readBody(CREDENTIALS, request.body);
    requireReady();
    return sendTokens(reply, await service.logIn(credentials));
  });

  app.post("/api/v1/auth/refresh", async (request, reply) => {
    const { refresh_token } = readBody(REFRESH_REQUEST, request.body);
    requireReady();
    return sendTokens(reply, await service.refresh(refresh_token));
  });

  app.post("/api/v1/auth/logout", async (request, reply) => {
    const { refresh_token } = readBody(REFRESH_REQUEST, request.body);
    requireReady();
    await service.logOut(refresh_token);
    return reply.code(204).send();
  });

  // The key needs no store: who checks tokens can have it from the first moment on.
  app.get("/.well-known/jwks.json", (_request, reply) =>
    sendJson(reply.header("cache-control", "public, max-age=300"), keySet),
  );
}

function sendTokens(reply: FastifyReply, tokens: TokenPair): FastifyReply {
  return sendJson(reply.header("cache-control", "no-store"), tokens);
}
