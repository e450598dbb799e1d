/** Reading a body: declared as JSON, strict JSON, and within what every service can read. */

import { Problem } from "./problems";

export const MAX_BODY_BYTES = 64 * 1024;

// About where the readers of the shop's other languages end, too.
const MAX_DEPTH = 1000;
const MAX_DIGITS = 4300;

const TOKENS = /"(?:[^"\\]|\\.)*"|[[{]|[\]}]|\d+/g;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Throws the 413 problem if the body's declared length is over the limit. */
export function requireSmallBody(contentLength: string | undefined): void {
  if (contentLength !== undefined && Number(contentLength) > MAX_BODY_BYTES) throw bodyTooLarge();
}

/** Throws the 415 problem unless the body is declared as JSON in UTF-8. */
export function requireJson(contentType = ""): void {
  const [mediaType = "", ...parameters] = contentType.split(";");
  const charset = parameters.join(";").trim().toLowerCase().replaceAll('"', "");
  if (
    mediaType.trim().toLowerCase() !== "application/json" ||
    !["", "charset=utf-8"].includes(charset)
  ) {
    throw new Problem(
      "unsupported-media-type",
      "Send the body with Content-Type: application/json.",
    );
  }
}

/** Returns the value that a body holds, undefined for an empty one; else the 400 problem. */
export function parseJson(body: Uint8Array): unknown {
  if (body.length === 0) return undefined;
  try {
    const text = utf8.decode(body);
    const value: unknown = JSON.parse(text);
    if (isReadable(text)) return value;
  } catch (cause) {
    throw malformedJson(cause);
  }
  throw malformedJson();
}

/** Says whether nesting and numbers of a JSON text stay within the limits. */
function isReadable(text: string): boolean {
  let depth = 0;
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === "[" || token === "{") depth += 1;
    else if (token === "]" || token === "}") depth -= 1;
    else if (!token.startsWith('"') && token.length > MAX_DIGITS) return false;
    if (depth > MAX_DEPTH) return false;
  }
  return true;
}

export function bodyTooLarge(): Problem {
  return new Problem("body-too-large", `A body has to be at most ${MAX_BODY_BYTES} bytes long.`);
}

export function malformedJson(cause?: unknown): Problem {
  return new Problem("malformed-json", "The body cannot be parsed as JSON.", { cause });
}
