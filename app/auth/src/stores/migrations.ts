/**
 * The schema `auth`, step by step: the n-th statement makes version n, in one transaction with the
 * note that it was made. Released steps are never changed, only followed by others.
 */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE auth.users (
     id            uuid        CONSTRAINT pk_users PRIMARY KEY,
     email         text        NOT NULL CONSTRAINT uq_users_email UNIQUE,
     name          text        NOT NULL,
     password_hash text        NOT NULL,
     created_at    timestamptz NOT NULL DEFAULT now()
   )`,
];
