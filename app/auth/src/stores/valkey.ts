/** Valkey: one connection that comes back by itself, and an outage as one kind of problem. */

import { Redis, ReplyError } from "ioredis";

import type { Logger } from "../log";
import type { Settings } from "../settings";
import { call, type Store } from "./outage";

const RECONNECT_MS = 50;

// Replies that mean "the server, not the command".
const SERVER_FAULTS = /^(LOADING|BUSY|OOM|READONLY|MISCONF|NOAUTH|WRONGPASS)\b/;

/** Commands to the session store. */
export class Valkey implements Store {
  readonly dependency = "session store";
  readonly timeout_ms: number;
  readonly #client: Redis;
  #connectionError: Error | undefined;

  constructor(settings: Settings, log: Logger) {
    this.timeout_ms = settings.valkeyTimeout_s * 1000;
    this.#client = new Redis(settings.valkeyUrl, {
      lazyConnect: true,
      connectTimeout: this.timeout_ms,
      // Commands end by their own deadline. This replaces a connection whose other end is gone.
      socketTimeout: 2 * this.timeout_ms,
      keepAlive: 10_000,
      retryStrategy: () => RECONNECT_MS,
      // A command waits for one connection attempt at most and is never sent twice unasked: what
      // may be repeated is known here, not there.
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      disableClientInfo: true,
    });
    const logger = log.child({ logger: "auth.valkey" });
    this.#client.on("error", (error: Error) => {
      this.#connectionError = error;
      logger.debug({ reason: error.message }, "connection failed");
    });
  }

  isOutage(error: unknown): boolean {
    if (error instanceof ReplyError) return SERVER_FAULTS.test((error as Error).message);
    return error instanceof Error && !(error instanceof TypeError);
  }

  /** Makes a call; one that is `repeatable` is tried twice. */
  call<Value>(repeatable: boolean, attempt: (client: Redis) => Promise<Value>): Promise<Value> {
    return call(this, repeatable, async () => {
      try {
        return await attempt(this.#client);
      } catch (error) {
        throw this.#whyItGaveUp(error) ?? error;
      }
    });
  }

  /** Asks the server for an answer; throws the 503 problem if there is none. */
  async ping(): Promise<void> {
    await this.call(true, (client) => client.ping());
  }

  /** The client says that it gave up; why it had to is of more use in a log. */
  #whyItGaveUp(error: unknown): Error | undefined {
    const gaveUp = error instanceof Error && error.name === "MaxRetriesPerRequestError";
    return gaveUp ? this.#connectionError : undefined;
  }

  /** Closes the connection. */
  close(): void {
    this.#client.disconnect();
  }
}
