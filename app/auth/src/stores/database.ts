/** PostgreSQL: a bounded pool, time-outs, and migrations that one process at a time makes. */

import {
  Client,
  DatabaseError,
  Pool,
  type ClientBase,
  type PoolConfig,
  type QueryResultRow,
} from "pg";

import { Problem } from "../http/problems";
import type { Logger } from "../log";
import type { Settings } from "../settings";
import { Turns } from "../turns";
import { MIGRATIONS } from "./migrations";
import { call, type Store } from "./outage";

const MIGRATION_TIMEOUT_MS = 300_000;
// What a call has given up on may take this much longer, then its connection is replaced.
const CLEAN_UP_MS = 250;

// SQLSTATE classes that mean "the server, not the statement": connection failures, out of
// resources, operator intervention (shutdown, start-up, cancelled by time-out), system error.
const SERVER_FAULTS = ["08", "53", "57", "58"];

/** A statement that each connection prepares once. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** Statements on connections from the pool; an outage surfaces as the 503 problem. */
export class Database implements Store {
  readonly dependency = "database";
  readonly timeout_ms: number;
  readonly #connection: PoolConfig;
  readonly #poolSize: number;
  readonly #pool: Pool;
  readonly #turns: Turns;
  readonly #log: Logger;

  constructor(settings: Settings, log: Logger) {
    this.timeout_ms = settings.databaseTimeout_s * 1000;
    this.#log = log.child({ logger: "auth.database" });
    this.#connection = {
      host: settings.databaseHost,
      port: settings.databasePort,
      database: settings.databaseName,
      user: settings.databaseUser,
      password: settings.databasePassword,
      application_name: "triptych-auth",
      connectionTimeoutMillis: this.timeout_ms + CLEAN_UP_MS,
      keepAlive: true,
    };
    this.#poolSize = settings.databasePoolSize;
    this.#pool = new Pool({
      ...this.#connection,
      query_timeout: this.timeout_ms + CLEAN_UP_MS,
      statement_timeout: this.timeout_ms,
      max: this.#poolSize,
      idleTimeoutMillis: 0,
    });
    this.#turns = new Turns(this.#poolSize);
    // An idle connection that the server closed: the pool drops it, the next call opens another.
    this.#pool.on("error", (error) => {
      this.#log.debug({ reason: error.message }, "idle connection lost");
    });
  }

  isOutage(error: unknown): boolean {
    if (error instanceof DatabaseError) {
      return SERVER_FAULTS.some((prefix) => error.code?.startsWith(prefix));
    }
    // The rest comes from the connection, but for defects in the code around it.
    return error instanceof Error && !(error instanceof TypeError);
  }

  /** Runs a statement that may be repeated without harm, and returns its rows. */
  async query<Row extends QueryResultRow>(
    statement: Statement,
    values: readonly string[],
  ): Promise<Row[]> {
    const result = await this.#inTurn(() =>
      this.#pool.query<Row>({ ...statement, values: [...values] }),
    );
    return result.rows;
  }

  /** Asks the server for an answer; throws the 503 problem if there is none. */
  async ping(): Promise<void> {
    await this.#inTurn(() => this.#pool.query("SELECT"));
  }

  /**
   * Makes a call that may be repeated. Waiting for a connection is not on the database's clock, as
   * it says how busy we are; but when the database is away, those who wait learn so at once.
   */
  async #inTurn<Value>(attempt: () => Promise<Value>): Promise<Value> {
    return this.#turns.take(async () => {
      try {
        return await call(this, true, attempt);
      } catch (error) {
        if (error instanceof Problem) this.#turns.failWaiting(error);
        throw error;
      }
    });
  }

  /**
   * Brings the schema up to date and opens the connections, as a burst of requests is a bad moment
   * to do so. When the schema is as it should be, that is two small queries.
   */
  async prepare(): Promise<void> {
    const client = await this.#pool.connect();
    let version: number;
    try {
      version = await schemaVersion(client);
    } finally {
      client.release();
    }
    if (version < MIGRATIONS.length) await this.#migrate();
    await Promise.all(Array.from({ length: this.#poolSize }, () => this.#pool.query("SELECT")));
  }

  async #migrate(): Promise<void> {
    const client = new Client({ ...this.#connection, query_timeout: MIGRATION_TIMEOUT_MS });
    client.on("error", () => undefined); // the statement under way fails with it
    await client.connect();
    try {
      // Given back with the connection, whatever happens.
      await client.query("SELECT pg_advisory_lock(hashtextextended('triptych.auth', 0))");
      for (let version = await schemaVersion(client); version < MIGRATIONS.length; version += 1) {
        await applyMigration(client, version + 1);
        this.#log.info({ version: version + 1 }, "schema migrated");
      }
    } finally {
      await client.end();
    }
  }

  /** Closes every connection. */
  async close(): Promise<void> {
    await this.#pool.end();
  }
}

async function schemaVersion(client: ClientBase): Promise<number> {
  const known = await client.query<{ known: boolean }>(
    "SELECT to_regclass('auth.migrations') IS NOT NULL AS known",
  );
  if (!known.rows[0]?.known) return 0;
  const version = await client.query<{ version: number | null }>(
    "SELECT max(version) AS version FROM auth.migrations",
  );
  return version.rows[0]?.version ?? 0;
}

async function applyMigration(client: ClientBase, version: number): Promise<void> {
  await client.query("BEGIN");
  if (version === 1) {
    await client.query(
      "CREATE SCHEMA IF NOT EXISTS auth; CREATE TABLE auth.migrations" +
        " (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
    );
  }
  await client.query(MIGRATIONS[version - 1] ?? "");
  await client.query("INSERT INTO auth.migrations (version) VALUES ($1)", [version]);
  await client.query("COMMIT");
}
