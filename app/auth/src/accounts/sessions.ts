/** Sessions (refresh tokens) and the brake on guessing passwords, both in Valkey. */

import { createHash, randomBytes } from "node:crypto";

import { Problem } from "../http/problems";
import type { Valkey } from "../stores/valkey";

const MAX_FAILED_LOGINS = 10;
const FAILED_LOGIN_WINDOW_S = 60;

/** Refresh tokens: random, stored as a digest, each good for one use. */
export class Sessions {
  readonly #valkey: Valkey;

  constructor(
    valkey: Valkey,
    readonly ttl_s: number,
  ) {
    this.#valkey = valkey;
  }

  /** Starts a session and returns its refresh token. */
  async open(userId: string): Promise<string> {
    const token = randomBytes(32).toString("base64url");
    const key = sessionKey(token);
    await this.#valkey.call(true, (client) => client.set(key, userId, "EX", this.ttl_s));
    return token;
  }

  /** Uses a token up and returns its user; undefined if it is unknown, used or expired. */
  async redeem(token: string): Promise<string | undefined> {
    const key = sessionKey(token);
    // Not repeated: the second try would find a used token where the first one's answer was lost.
    const userId = await this.#valkey.call(false, (client) => client.getdel(key));
    return userId ?? undefined;
  }

  /** Ends a session; a token that is not there is no error. */
  async close(token: string): Promise<void> {
    const key = sessionKey(token);
    await this.#valkey.call(true, (client) => client.del(key));
  }
}

/** At most MAX_FAILED_LOGINS per address and window; good log-ins are never counted. */
export class LoginBrake {
  readonly #valkey: Valkey;

  constructor(valkey: Valkey) {
    this.#valkey = valkey;
  }

  /** Throws the 429 problem while the address is blocked. */
  async check(email: string): Promise<void> {
    const key = failuresKey(email);
    const failures = await this.#valkey.call(true, (client) => client.get(key));
    if (Number(failures ?? 0) < MAX_FAILED_LOGINS) return;
    const left_s = await this.#valkey.call(true, (client) => client.ttl(key));
    throw new Problem(
      "too-many-attempts",
      "Too many failed log-ins for this address; try again later.",
      { headers: { "retry-after": String(Math.max(1, left_s)) } },
    );
  }

  /** Counts one failed log-in; the window starts with the first. */
  async countFailure(email: string): Promise<void> {
    const key = failuresKey(email);
    await this.#valkey.call(false, async (client) => {
      const replies = await client
        .multi()
        .incr(key)
        .expire(key, FAILED_LOGIN_WINDOW_S, "NX")
        .exec();
      for (const [error] of replies ?? []) if (error) throw error;
    });
  }
}

function sessionKey(token: string): string {
  return `session:${sha256(token)}`;
}

function failuresKey(email: string): string {
  return `login-failures:${sha256(email)}`;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
