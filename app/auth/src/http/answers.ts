/** Answers with a body. */

import type { FastifyReply } from "fastify";

import { PROBLEM_MEDIA_TYPE, type Problem } from "./problems";

/** Sends a value as JSON. */
export function sendJson(reply: FastifyReply, value: object): FastifyReply {
  return sendText(reply, "application/json", JSON.stringify(value));
}

/** Sends a problem that the request met. */
export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  const { id, originalUrl } = reply.request;
  reply.code(problem.status).headers(problem.headers);
  return sendText(reply, PROBLEM_MEDIA_TYPE, problem.document(pathOf(originalUrl), id));
}

/** Sends bytes: to a string Fastify would add a charset, which these media types do not have. */
function sendText(reply: FastifyReply, mediaType: string, text: string): FastifyReply {
  return reply.header("content-type", mediaType).send(Buffer.from(text));
}

/** Returns the path of a request target, as it was sent. */
export function pathOf(target: string): string {
  return target.replace(/^https?:\/\/[^/?#]*/i, "").replace(/[?#].*$/s, "") || "/";
}
