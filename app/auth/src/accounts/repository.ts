/** Accounts in PostgreSQL. */

import { randomUUID } from "node:crypto";

import type { Database, Statement } from "../stores/database";

/** An account as its owner sees it. */
export interface User {
  readonly id: string;
  readonly email: string;
  readonly name: string;
  /** RFC 3339, UTC. */
  readonly createdAt: string;
}

/** What logging in takes. */
export interface Login {
  readonly id: string;
  readonly passwordHash: string;
}

// A repetition by the same id finds its own row and answers as the first time did.
export const ADD: Statement = {
  name: "add-account",
  text: `INSERT INTO auth.users AS known (id, email, name, password_hash) VALUES ($1, $2, $3, $4)
         ON CONFLICT (email) DO UPDATE SET email = known.email WHERE known.id = excluded.id
         RETURNING to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
           AS "createdAt"`,
};

export const FIND_LOGIN: Statement = {
  name: "find-login",
  text: `SELECT id, password_hash AS "passwordHash" FROM auth.users WHERE email = $1`,
};

export class Accounts {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Stores an account; undefined if the address is taken. */
  async add(email: string, name: string, passwordHash: string): Promise<User | undefined> {
    const id = randomUUID();
    const [row] = await this.#database.query<{ createdAt: string }>(ADD, [
      id,
      email,
      name,
      passwordHash,
    ]);
    return row && { id, email, name, createdAt: row.createdAt };
  }

  /** Returns what logging in to the account of an address takes. */
  async findLogin(email: string): Promise<Login | undefined> {
    const [row] = await this.#database.query<Login>(FIND_LOGIN, [email]);
    return row;
  }
}
