/**
 * Password hashing with argon2id, off the event loop.
 *
 * Parameters are OWASP's minimum for argon2id: 19 MiB, 2 passes, 1 lane; about 15 ms on a server
 * core. Two at a time at most, so that a burst of log-ins takes at most 38 MiB.
 */

import { hash, verify, type Options } from "@node-rs/argon2";

import { Turns } from "../turns";

const CONCURRENCY = 2;

// The library's algorithm is argon2id unless told otherwise.
const PARAMETERS = {
  memoryCost: 19 * 1024, // KiB
  timeCost: 2,
  parallelism: 1,
} satisfies Options;

// Of a password that no account has: a random one that was thrown away.
const DECOY =
  "$argon2id$v=19$m=19456,t=2,p=1$bKbBG8FLFsViSxSsFdyjpA$QG9nM3k+jYSVED3B18wOwlRjEJw9xLAW5Tm91FwW9kU";

/** Hashes and checks passwords. */
export class Passwords {
  readonly #turns = new Turns(CONCURRENCY);

  /** Returns the encoded hash. */
  hash(password: string): Promise<string> {
    return this.#turns.take(() => hash(password, PARAMETERS));
  }

  /**
   * Checks a password; without a hash, takes as long and says no. So the time of an answer does not
   * tell whether an address is registered.
   */
  matches(passwordHash: string | undefined, password: string): Promise<boolean> {
    return this.#turns.take(async () => {
      const matches = await verify(passwordHash ?? DECOY, password).catch(() => false);
      return matches && passwordHash !== undefined;
    });
  }
}
