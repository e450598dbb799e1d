/** The name that a request has in every log. */

import { randomUUID } from "node:crypto";

export const REQUEST_ID_HEADER = "x-request-id";

const ACCEPTED = /^[A-Za-z0-9._-]{1,64}$/;

/** Returns the caller's id, of several the first, if it is well formed, else a fresh one. */
export function requestIdFor(rawHeaders: readonly string[]): string {
  const at = rawHeaders.findIndex(
    (name, index) => index % 2 === 0 && name.toLowerCase() === REQUEST_ID_HEADER,
  );
  const offered = at < 0 ? "" : (rawHeaders[at + 1] ?? "");
  return ACCEPTED.test(offered) ? offered : freshId();
}

/** Returns a new id. */
export function freshId(): string {
  return randomUUID().replaceAll("-", "");
}
