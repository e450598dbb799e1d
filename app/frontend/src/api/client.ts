import { PROBLEM_TYPES, type Problem, type ProblemType } from "./contract";

/** Longer than the shop takes to read something, and to do something, a slow payment included. */
const TIMEOUTS_MS = { read: 10_000, change: 30_000 };
const PREFIX = "urn:triptych:problem:";

/**
 * What went wrong: a problem of the contract, `no-answer` when nothing came back in time, or
 * `unreadable` when something did that is not of the contract.
 */
export type Fault = ProblemType | "no-answer" | "unreadable";

/** Every way in which a call to the shop can fail. */
export class ShopError extends Error {
  override readonly name = "ShopError";

  constructor(
    readonly fault: Fault,
    /** Status of the answer; 0 without one. */
    readonly status: number,
    readonly problem: Partial<Problem> = {},
    /** What the answer's Retry-After asks for. */
    readonly retryAfterS: number | null = null,
  ) {
    super(`${fault} (${status})`);
  }

  /** Whether the same call may well succeed a little later. */
  get passing(): boolean {
    return this.fault === "no-answer" || [502, 503, 504].includes(this.status);
  }
}

export interface Call {
  method?: "GET" | "POST" | "PUT" | "DELETE";
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

export interface Answer<Data> {
  data: Data;
  headers: Headers;
}

/**
 * Sends one request to the shop.
 *
 * Throws a ShopError, or the reason of `signal` if that ended the call.
 */
export async function send<Data>(path: string, call: Call = {}): Promise<Answer<Data>> {
  const headers = new Headers({ accept: "application/json", ...call.headers });
  if (call.body !== undefined) headers.set("content-type", "application/json");
  const { method = "GET" } = call;
  const timeout = AbortSignal.timeout(TIMEOUTS_MS[method === "GET" ? "read" : "change"]);
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: call.body === undefined ? null : JSON.stringify(call.body),
      signal: call.signal ? AbortSignal.any([call.signal, timeout]) : timeout,
      cache: "no-store",
      credentials: "omit",
    });
    text = await response.text();
  } catch {
    call.signal?.throwIfAborted();
    throw new ShopError("no-answer", 0);
  }
  const data = parse(text);
  if (!response.ok) throw toError(response, data);
  if (data === undefined) throw new ShopError("unreadable", response.status);
  return { data: data as Data, headers: response.headers };
}

/** Returns null for an empty text and undefined for one that is not JSON. */
function parse(text: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function toError(response: Response, data: unknown): ShopError {
  const after = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
  const retryAfterS = Number.isNaN(after) ? null : after;
  const problem = data !== null && typeof data === "object" ? (data as Partial<Problem>) : {};
  const fault = PROBLEM_TYPES.find((type) => problem.type === `${PREFIX}${type}`);
  return new ShopError(fault ?? "unreadable", response.status, problem, retryAfterS);
}

const ATTEMPTS = 3;
const LONGEST_WAIT_S = 5;

/**
 * Makes a call that may safely be made twice, again when the shop says that it could not answer
 * just now and when to ask; a few times at most.
 */
export async function whenTold<Result>(call: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const after = error instanceof ShopError && error.passing ? error.retryAfterS : null;
      if (after === null || attempt === ATTEMPTS) throw error;
      await sleep(Math.min(after, LONGEST_WAIT_S));
    }
  }
}

/** Waits for so many seconds. */
export function sleep(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** Returns whether an error is this fault of the shop. */
export function isFault<Wanted extends Fault>(
  error: unknown,
  ...faults: Wanted[]
): error is ShopError & { fault: Wanted } {
  return error instanceof ShopError && faults.some((fault) => fault === error.fault);
}
