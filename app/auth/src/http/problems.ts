/** Problem details (RFC 9457): the one shape of every error that leaves the service. */

/** The kinds of problem this service has, as in the contract: HTTP status and title. */
const KINDS = {
  "malformed-json": [400, "The body is not valid JSON"],
  "invalid-credentials": [401, "E-mail address or password is wrong"],
  "invalid-refresh-token": [401, "The refresh token is not valid"],
  "not-found": [404, "There is nothing at this path"],
  "method-not-allowed": [405, "The method is not allowed here"],
  "email-taken": [409, "The e-mail address is already registered"],
  "body-too-large": [413, "The body is too large"],
  "unsupported-media-type": [415, "The body has to be JSON"],
  validation: [422, "The request does not fit the contract"],
  "too-many-attempts": [429, "Too many failed attempts"],
  internal: [500, "Something went wrong on our side"],
  "dependency-unavailable": [503, "A part of the shop is unavailable"],
  "not-ready": [503, "The service is not ready"],
} as const satisfies Record<string, readonly [status: number, title: string]>;

export type ProblemType = keyof typeof KINDS;

export const PROBLEM_MEDIA_TYPE = "application/problem+json";

/** One fault of the request's body: which field (empty for the whole body), and what. */
export interface FieldError {
  readonly field: string;
  readonly message: string;
}

interface ProblemOptions extends ErrorOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Members that the kind has beyond those of all problems. */
  readonly members?: Readonly<Record<string, unknown>>;
}

/** Throw it anywhere; the client gets it as problem details. */
export class Problem extends Error {
  readonly status: number;
  readonly title: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly #members: Readonly<Record<string, unknown>>;

  constructor(
    readonly type: ProblemType,
    detail: string,
    { headers = {}, members = {}, ...options }: ProblemOptions = {},
  ) {
    super(detail, options);
    this.name = "Problem";
    [this.status, this.title] = KINDS[type];
    this.headers = headers;
    this.#members = members;
  }

  /** Returns the JSON document for a problem met at the path `instance`. */
  document(instance: string, requestId: string): string {
    return JSON.stringify({
      type: `urn:triptych:problem:${this.type}`,
      title: this.title,
      status: this.status,
      detail: this.message,
      instance,
      request_id: requestId,
      ...this.#members,
    });
  }
}

/** Returns the 503 for a part that does not answer; the client may try again in a second. */
export function dependencyUnavailable(dependency: string, cause?: unknown): Problem {
  return new Problem(
    "dependency-unavailable",
    `The ${dependency} does not answer at present; try again shortly.`,
    { headers: { "retry-after": "1" }, members: { dependency }, cause },
  );
}

/** Returns the 422 for a body with these faults. */
export function invalidBody(faults: readonly FieldError[]): Problem {
  return new Problem("validation", "One or more values do not fit the contract.", {
    members: { errors: faults.map((fault) => ({ in: "body", ...fault })) },
  });
}
