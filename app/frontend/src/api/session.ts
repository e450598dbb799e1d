import { type Answer, type Call, ShopError, isFault, send } from "./client";
import type { TokenPair } from "./contract";

/** Who is looking at the shop. */
export type Visitor =
  | { signedIn: false; /** The session ended by itself. */ expired: boolean }
  | { signedIn: true; email: string; userId: string };

interface Stored {
  refreshToken: string;
  accessToken: string;
  /** Until when the access token may be used, in milliseconds since 1970. */
  goodUntil: number;
  email: string;
  userId: string;
}

const KEY = "triptych.session";
/** An access token is renewed this long before it runs out. */
const MARGIN_MS = 10_000;

/**
 * The tokens, in the browser's storage: all tabs share them.
 *
 * A refresh token is good for one use, so the tabs take turns by a lock, and a renewal that is cut
 * off by a reload costs the session. That is why the access token is kept, too: pages are loaded
 * often, it runs out seldom, and with the refresh token beside it there is nothing to gain from
 * holding it in memory alone.
 */
export class Session {
  #visitor: Visitor;
  #renewal: Promise<string> | null = null;
  readonly #listeners = new Set<() => void>();

  constructor(private readonly storage: Storage) {
    this.#visitor = this.#look(false);
    window.addEventListener("storage", (event) => {
      if (event.key === KEY || event.key === null) this.#changed(this.#look(false));
    });
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly visitor = (): Visitor => this.#visitor;

  /** Trades credentials for a session. */
  async logIn(email: string, password: string): Promise<void> {
    const body = { email, password };
    const { data } = await send<TokenPair>("/api/v1/auth/login", { method: "POST", body });
    this.#keep(data, email);
  }

  /** Ends the session here at once, and at the shop if it can be reached. */
  async logOut(): Promise<void> {
    await exclusively(async () => {
      const stored = this.#read();
      this.#drop(false);
      if (!stored) return;
      const body = { refresh_token: stored.refreshToken };
      await send("/api/v1/auth/logout", { method: "POST", body });
    });
  }

  /** Sends a request with the access token; one that is refused is renewed once. */
  async send<Data>(path: string, call: Call = {}): Promise<Answer<Data>> {
    const token = await this.#token();
    try {
      return await send<Data>(path, withToken(call, token));
    } catch (error) {
      if (!isFault(error, "authentication-required")) throw error;
    }
    return await send<Data>(path, withToken(call, await this.#token(token)));
  }

  /** Returns an access token that is good, and not the one that was refused. */
  async #token(refused?: string): Promise<string> {
    const stored = this.#own();
    if (isGood(stored, refused)) return stored.accessToken;
    // One renewal at a time, however many calls wait for it.
    this.#renewal ??= exclusively(() => this.#renew(refused)).finally(() => {
      this.#renewal = null;
    });
    return await this.#renewal;
  }

  async #renew(refused?: string): Promise<string> {
    // Read again under the lock: another tab may have renewed it in the meantime.
    const stored = this.#own();
    if (isGood(stored, refused)) return stored.accessToken;
    const body = { refresh_token: stored.refreshToken };
    try {
      const { data } = await send<TokenPair>("/api/v1/auth/refresh", { method: "POST", body });
      // Somebody may have logged out, or in as another, while the answer was under way.
      if (this.#read()?.refreshToken === stored.refreshToken) this.#keep(data, stored.email);
      return data.access_token;
    } catch (error) {
      if (isFault(error, "invalid-refresh-token", "validation")) this.#drop(true);
      throw error;
    }
  }

  /** Returns what is stored for the visitor that the pages know, who may just have changed. */
  #own(): Stored {
    const stored = this.#read();
    if (stored && this.#visitor.signedIn && stored.userId === this.#visitor.userId) return stored;
    this.#changed(this.#look(false));
    throw new ShopError("authentication-required", 401);
  }

  #keep(pair: TokenPair, email: string): void {
    const stored: Stored = {
      refreshToken: pair.refresh_token,
      accessToken: pair.access_token,
      goodUntil: Date.now() + pair.expires_in * 1000 - MARGIN_MS,
      email: email.toLowerCase(),
      userId: subject(pair.access_token),
    };
    this.storage.setItem(KEY, JSON.stringify(stored));
    this.#changed({ signedIn: true, email: stored.email, userId: stored.userId });
  }

  #drop(expired: boolean): void {
    this.storage.removeItem(KEY);
    this.#changed({ signedIn: false, expired });
  }

  #changed(now: Visitor): void {
    if (same(now, this.#visitor)) return;
    this.#visitor = now;
    for (const listener of this.#listeners) listener();
  }

  #look(expired: boolean): Visitor {
    const stored = this.#read();
    if (!stored) return { signedIn: false, expired };
    return { signedIn: true, email: stored.email, userId: stored.userId };
  }

  #read(): Stored | null {
    try {
      const stored = JSON.parse(this.storage.getItem(KEY) ?? "null") as Partial<Stored> | null;
      if (stored?.refreshToken && stored.accessToken && stored.email && stored.userId) {
        return stored as Stored;
      }
    } catch {
      // Not ours, or cut off: as good as nothing.
    }
    return null;
  }
}

function isGood({ accessToken, goodUntil }: Stored, refused?: string): boolean {
  return accessToken !== refused && Date.now() < goodUntil;
}

function same(one: Visitor, other: Visitor): boolean {
  if (one.signedIn && other.signedIn) return one.userId === other.userId;
  return one.signedIn === other.signedIn;
}

function withToken(call: Call, token: string): Call {
  return { ...call, headers: { ...call.headers, authorization: `Bearer ${token}` } };
}

/** Runs `work` in one tab at a time; browsers offer the lock on secure origins only. */
async function exclusively<Result>(work: () => Promise<Result>): Promise<Result> {
  const locks = (navigator as Partial<Navigator>).locks;
  return locks ? await locks.request(KEY, work) : await work();
}

/** Returns the user's id from an access token, which the shop, not this page, has to verify. */
function subject(token: string): string {
  const claims = token.split(".")[1] ?? "";
  const json = atob(claims.replaceAll("-", "+").replaceAll("_", "/"));
  return String((JSON.parse(json) as { sub?: unknown }).sub);
}
