/** The HTTP application: the contract's order of checks, request ids, logs, metrics, routes. */

import type { Socket } from "node:net";

import {
  fastify,
  LogController,
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyRequest,
} from "fastify";

import { authRoutes } from "./accounts/routes";
import { AuthService, type Parts } from "./accounts/service";
import type { AccessTokens } from "./accounts/tokens";
import { pathOf, sendProblem } from "./http/answers";
import {
  bodyTooLarge,
  malformedJson,
  MAX_BODY_BYTES,
  parseJson,
  requireJson,
  requireSmallBody,
} from "./http/body";
import { closeInOrder } from "./http/closing";
import { healthRoutes, QUIET_ROUTES, type Checks } from "./http/health";
import { INSTANCE_ID, INSTANCE_ID_HEADER } from "./http/instance-id";
import { Metrics } from "./http/metrics";
import { dependencyUnavailable, Problem } from "./http/problems";
import { REQUEST_ID_HEADER, requestIdFor } from "./http/request-id";
import { reason, type Logger } from "./log";
import type { Startup } from "./startup";

// Longer than the gateway keeps an idle connection, so that it is the gateway that closes one.
const KEEP_ALIVE_MS = 100_000;
const REQUEST_TIMEOUT_MS = 30_000;
// The gateway lets headers of 32 KiB through and adds its own.
const MAX_HEADER_BYTES = 64 * 1024;

const UNMATCHED = "unmatched";
const METHODS: ReadonlySet<string> = new Set(
  "CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT TRACE".split(" "),
);

/** What the application stands on. */
export interface AppOptions {
  readonly log: Logger;
  readonly startup: Pick<Startup, "done" | "missing">;
  readonly parts: Parts;
  readonly keySet: AccessTokens["keySet"];
  readonly checks: Checks;
}

/** Returns the application; it does not listen yet. */
export function createApp({ log, startup, parts, keySet, checks }: AppOptions): FastifyInstance {
  const accessLog = log.child({ logger: "auth.access" });
  const httpLog: FastifyBaseLogger = log.child({ logger: "auth.http" });
  const metrics = new Metrics();
  /** Every path there is, with its methods. */
  const routes = new Map<string, string[]>();

  const app = fastify({
    loggerInstance: httpLog,
    logController: new LogController({
      disableRequestLogging: true,
      requestIdLogLabel: "request_id",
    }),
    requestIdHeader: false,
    genReqId: (request) => requestIdFor(request.rawHeaders),
    // All paths are fixed, so decoded ones can be compared as a whole: escaped letters and
    // slashes, or escapes that are none, make no difference to what is found.
    rewriteUrl: ({ url = "/" }) => {
      const path = decodedPath(url);
      return routes.has(path) ? path : "/";
    },
    // No route has a JSON Schema (see http/fields.ts): what compiles them is not even loaded.
    schemaController: {
      compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas },
    },
    exposeHeadRoutes: false,
    bodyLimit: MAX_BODY_BYTES,
    return503OnClosing: false,
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: { maxHeaderSize: MAX_HEADER_BYTES },
    clientErrorHandler: refuseBrokenHttp,
  });

  app.addHook("onRoute", ({ url, method }) => {
    routes.set(url, [...(routes.get(url) ?? []), ...[method].flat()]);
  });

  app.addHook("onRequest", (request, reply, done) => {
    reply.headers(namesOf(request));
    requireSmallBody(request.headers["content-length"]);
    if (request.is404) throw notFound(request, routes);
    if (request.method === "POST") requireJson(request.headers["content-type"]);
    done();
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => {
    try {
      done(null, parseJson(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });

  app.setErrorHandler((error: FastifyError, request, reply) => {
    // A method that the router has never heard of comes here past all hooks.
    const unheard = error.code === "FST_ERR_NOT_FOUND";
    const problem = unheard ? notFound(request, routes) : asProblem(error, request);
    reply.headers(namesOf(request));
    // Fastify would hang up on a body that is too large before the client has read the answer.
    if (problem.type === "body-too-large") reply.removeHeader("connection");
    return sendProblem(reply, problem);
  });

  app.addHook("onResponse", (request, reply, done) => {
    const route = routes.has(request.url) ? request.url : UNMATCHED;
    const { statusCode: status, elapsedTime: duration_ms } = reply;
    metrics.observe({
      method: METHODS.has(request.method) ? request.method : "other",
      route,
      status,
      duration_ms,
    });
    accessLog[QUIET_ROUTES.has(route) && status < 500 ? "debug" : "info"](
      {
        request_id: request.id,
        method: request.method,
        path: decodedPath(request.originalUrl),
        route,
        status,
        duration_ms: Math.round(duration_ms * 100) / 100,
      },
      "request",
    );
    done();
  });

  closeInOrder(app);
  authRoutes(app, new AuthService(parts), keySet, () => {
    if (!startup.done) throw dependencyUnavailable(startup.missing);
  });
  healthRoutes(app, () => startup.done, checks, metrics);
  return app;
}

function namesOf(request: FastifyRequest): Record<string, string> {
  return { [REQUEST_ID_HEADER]: request.id, [INSTANCE_ID_HEADER]: INSTANCE_ID };
}

function noSchemas(): never {
  throw new Error("no route has a JSON Schema");
}

function decodedPath(target: string): string {
  const path = pathOf(target);
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function notFound(request: FastifyRequest, routes: ReadonlyMap<string, string[]>): Problem {
  const methods = routes.get(request.url);
  if (!methods) return new Problem("not-found", "No resource of the shop has this path.");
  const allow = methods.toSorted().join(", ");
  return new Problem("method-not-allowed", `This path takes ${allow}.`, { headers: { allow } });
}

function asProblem(error: FastifyError, request: FastifyRequest): Problem {
  if (error instanceof Problem) {
    if (error.cause !== undefined && error.status >= 500) {
      request.log.warn({ reason: reason(error.cause) }, error.message);
    }
    return error;
  }
  if (error.code === "FST_ERR_CTP_BODY_TOO_LARGE") return bodyTooLarge();
  // Nobody is there to read the answer.
  if (request.raw.destroyed && !request.raw.complete) return malformedJson();
  request.log.error({ exception: error }, "unhandled exception");
  return new Problem("internal", "The request could not be completed.");
}

/** Answers what is not HTTP, or not in time: there is no request yet that could have an id. */
function refuseBrokenHttp(error: Error & { code?: string }, socket: Socket): void {
  if (socket.writable) {
    const status =
      error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? "408 Request Timeout"
        : error.code === "HPE_HEADER_OVERFLOW"
          ? "431 Request Header Fields Too Large"
          : "400 Bad Request";
    socket.write(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  }
  socket.destroySoon();
}
