/**
 * What `make bench` holds the service against: the log-in as a bare Fastify handler. The same
 * look-up, check, signature and session; no validation, brake, metrics, log, time-outs or retries.
 */

import { createHash, randomBytes } from "node:crypto";

import { verify } from "@node-rs/argon2";
import { fastify } from "fastify";
import { Redis } from "ioredis";
import { Pool } from "pg";

import { FIND_LOGIN, type Login } from "../src/accounts/repository";
import { AccessTokens } from "../src/accounts/tokens";
import { readSettings } from "../src/settings";

async function main(): Promise<void> {
  const settings = readSettings(process.env);
  const tokens = await AccessTokens.create(settings);
  const pool = new Pool({
    host: settings.databaseHost,
    port: settings.databasePort,
    database: settings.databaseName,
    user: settings.databaseUser,
    password: settings.databasePassword,
    max: settings.databasePoolSize,
  });
  const valkey = new Redis(settings.valkeyUrl);
  const unused = () => {
    throw new Error("no route has a JSON Schema");
  };
  const app = fastify({
    schemaController: { compilersFactory: { buildValidator: unused, buildSerializer: unused } },
  });

  app.post<{ Body: { email: string; password: string } }>(
    "/api/v1/auth/login",
    async (request, reply) => {
      const { email, password } = request.body;
      const { rows } = await pool.query<Login>({ ...FIND_LOGIN, values: [email] });
      const [login] = rows;
      if (!login || !(await verify(login.passwordHash, password))) return reply.code(401).send();
      const refreshToken = randomBytes(32).toString("base64url");
      const key = `session:${createHash("sha256").update(refreshToken).digest("hex")}`;
      await valkey.set(key, login.id, "EX", settings.refreshTokenTtl_s);
      return {
        access_token: await tokens.issue(login.id),
        token_type: "bearer",
        expires_in: tokens.ttl_s,
        refresh_token: refreshToken,
        refresh_expires_in: settings.refreshTokenTtl_s,
      };
    },
  );
  app.get("/health/live", () => ({ status: "live" }));

  process.on("SIGTERM", () => {
    process.exit(0);
  });
  await app.listen({ host: settings.listenHost, port: settings.listenPort });
}

void main();
