/** The process: settings, wiring, start, and an orderly stop on SIGTERM. */

import { Passwords } from "./accounts/passwords";
import { Accounts } from "./accounts/repository";
import { LoginBrake, Sessions } from "./accounts/sessions";
import { AccessTokens } from "./accounts/tokens";
import { createApp } from "./app";
import { createLog, hearTheRuntime, reason } from "./log";
import { readSettings, SettingsError } from "./settings";
import { Startup } from "./startup";
import { Database } from "./stores/database";
import { Valkey } from "./stores/valkey";

async function main(): Promise<void> {
  const settings = readSettings(process.env);
  const tokens = await AccessTokens.create(settings);
  const log = createLog(settings);
  hearTheRuntime(log);
  const mainLog = log.child({ logger: "auth.main" });
  const database = new Database(settings, log);
  const valkey = new Valkey(settings, log);
  const startup = new Startup(settings.startupTimeout_s, log);
  const app = createApp({
    log,
    startup,
    parts: {
      accounts: new Accounts(database),
      passwords: new Passwords(),
      tokens,
      sessions: new Sessions(valkey, settings.refreshTokenTtl_s),
      brake: new LoginBrake(valkey),
    },
    keySet: tokens.keySet,
    checks: { database: () => database.ping(), session_store: () => valkey.ping() },
  });

  let stopping = false;
  async function stop(exitCode: number): Promise<void> {
    if (stopping) return;
    stopping = true;
    startup.cancel();
    const hangUp = setTimeout(() => {
      app.server.closeAllConnections();
    }, settings.shutdownGrace_s * 1000);
    await app.close(); // accepts no more, and waits for the requests under way
    clearTimeout(hangUp);
    valkey.close();
    await database.close();
    process.exit(exitCode);
  }
  function stopOn(signal: NodeJS.Signals): void {
    process.on(signal, () => {
      mainLog.info({ signal }, "stopping");
      void stop(0);
    });
  }
  stopOn("SIGTERM");
  stopOn("SIGINT");

  try {
    await app.listen({ host: settings.listenHost, port: settings.listenPort });
  } catch (error) {
    mainLog.error(`cannot listen: ${reason(error)}`);
    await stop(1);
  }
  const inTime = await startup.run([
    { name: database.dependency, attempt: () => database.prepare() },
    { name: valkey.dependency, attempt: () => valkey.ping() },
  ]);
  if (!inTime) await stop(1);
}

main().catch((error: unknown) => {
  if (!(error instanceof SettingsError)) throw error;
  for (const line of error.lines) process.stderr.write(`auth: ${line}\n`);
  process.exitCode = 2;
});
