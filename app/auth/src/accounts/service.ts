/** What accounts can do. */

import { Problem } from "../http/problems";
import type { Credentials, Registration } from "./bodies";
import type { Passwords } from "./passwords";
import type { Accounts, User } from "./repository";
import type { LoginBrake, Sessions } from "./sessions";
import type { AccessTokens } from "./tokens";

/** A short-lived access token and the token that gets the next one. */
export interface TokenPair {
  readonly access_token: string;
  readonly token_type: "bearer";
  readonly expires_in: number;
  readonly refresh_token: string;
  readonly refresh_expires_in: number;
}

/** What the service stands on; a test brings its own. */
export interface Parts {
  readonly accounts: Pick<Accounts, "add" | "findLogin">;
  readonly passwords: Pick<Passwords, "hash" | "matches">;
  readonly tokens: Pick<AccessTokens, "issue" | "ttl_s">;
  readonly sessions: Pick<Sessions, "open" | "redeem" | "close" | "ttl_s">;
  readonly brake: Pick<LoginBrake, "check" | "countFailure">;
}

/** Registration, log-in, refresh and log-out. */
export class AuthService {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Creates an account; 409 if the address is taken. */
  async register({ email, name, password }: Registration): Promise<User> {
    const { accounts, passwords } = this.#parts;
    const user = await accounts.add(email, name, await passwords.hash(password));
    if (!user) throw new Problem("email-taken", "An account with this address exists.");
    return user;
  }

  /** Returns tokens; 401 for wrong credentials, 429 after too many of them. */
  async logIn({ email, password }: Credentials): Promise<TokenPair> {
    const { accounts, brake, passwords } = this.#parts;
    await brake.check(email);
    const login = await accounts.findLogin(email);
    const matches = await passwords.matches(login?.passwordHash, password);
    if (!login || !matches) {
      await brake.countFailure(email);
      throw new Problem("invalid-credentials", "No account has this address and password.", {
        headers: { "www-authenticate": 'Bearer realm="triptych"' },
      });
    }
    return this.#newTokens(login.id);
  }

  /** Trades a refresh token for new tokens; 401 if it was used or has expired. */
  async refresh(refreshToken: string): Promise<TokenPair> {
    const userId = await this.#parts.sessions.redeem(refreshToken);
    if (userId === undefined) {
      throw new Problem(
        "invalid-refresh-token",
        "The refresh token is unknown, used or expired; log in again.",
        { headers: { "www-authenticate": 'Bearer realm="triptych", error="invalid_token"' } },
      );
    }
    return this.#newTokens(userId);
  }

  /** Ends the session of a refresh token. */
  async logOut(refreshToken: string): Promise<void> {
    await this.#parts.sessions.close(refreshToken);
  }

  async #newTokens(userId: string): Promise<TokenPair> {
    const { sessions, tokens } = this.#parts;
    return {
      access_token: await tokens.issue(userId),
      token_type: "bearer",
      expires_in: tokens.ttl_s,
      refresh_token: await sessions.open(userId),
      refresh_expires_in: sessions.ttl_s,
    };
  }
}
