/**
 * Settings: the one place that reads the environment. Secrets are read from files that `*_FILE`
 * variables name, never from the environment itself.
 */

import { readFileSync } from "node:fs";
import { getSystemErrorMap } from "node:util";

const LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"] as const;

/** Everything that can be configured, with units in the names. */
export interface Settings {
  readonly listenHost: string;
  readonly listenPort: number;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  readonly release: string;
  readonly databaseHost: string;
  readonly databasePort: number;
  readonly databaseName: string;
  readonly databaseUser: string;
  readonly databasePassword: string;
  readonly databasePoolSize: number;
  readonly databaseTimeout_s: number;
  readonly valkeyUrl: string;
  readonly valkeyTimeout_s: number;
  readonly jwtPrivateKey: string;
  readonly jwtIssuer: string;
  readonly jwtAudience: string;
  readonly accessTokenTtl_s: number;
  readonly refreshTokenTtl_s: number;
  readonly startupTimeout_s: number;
  readonly shutdownGrace_s: number;
}

/** The environment is incomplete or wrong; `lines` has one sentence per fault. */
export class SettingsError extends Error {
  constructor(readonly lines: readonly string[]) {
    super(lines.join("; "));
    this.name = "SettingsError";
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads the settings; throws a SettingsError that names every variable at fault. */
export function readSettings(environment: Environment): Settings {
  const reader = new Reader(environment);
  const day_s = 86_400;
  const settings: Settings = {
    listenHost: reader.text("LISTEN_HOST", "127.0.0.1"),
    listenPort: reader.integer("LISTEN_PORT", 1, 65_535, 8001),
    logLevel: reader.choice("LOG_LEVEL", LOG_LEVELS, "INFO"),
    release: reader.text("RELEASE", "dev"),
    databaseHost: reader.text("DATABASE_HOST"),
    databasePort: reader.integer("DATABASE_PORT", 1, 65_535, 5432),
    databaseName: reader.text("DATABASE_NAME", "shop"),
    databaseUser: reader.text("DATABASE_USER", "shop"),
    databasePassword: reader.secret("DATABASE_PASSWORD_FILE"),
    databasePoolSize: reader.integer("DATABASE_POOL_SIZE", 1, 100, 2),
    databaseTimeout_s: reader.seconds("DATABASE_TIMEOUT_S", 1),
    valkeyUrl: reader.text("VALKEY_URL", undefined, /^rediss?:\/\/\S+$/),
    valkeyTimeout_s: reader.seconds("VALKEY_TIMEOUT_S", 1),
    jwtPrivateKey: reader.secret("JWT_PRIVATE_KEY_FILE"),
    jwtIssuer: reader.text("JWT_ISSUER", "triptych"),
    jwtAudience: reader.text("JWT_AUDIENCE", "triptych-shop"),
    accessTokenTtl_s: reader.integer("ACCESS_TOKEN_TTL_S", 1, day_s, 900),
    refreshTokenTtl_s: reader.integer("REFRESH_TOKEN_TTL_S", 1, 90 * day_s, 14 * day_s),
    startupTimeout_s: reader.seconds("STARTUP_TIMEOUT_S", 600),
    shutdownGrace_s: reader.integer("SHUTDOWN_GRACE_S", 1, 120, 10),
  };
  if (reader.faults.length > 0) throw new SettingsError(reader.faults);
  return settings;
}

/** Reads variables one by one and notes what is wrong; an empty variable counts as unset. */
class Reader {
  readonly faults: string[] = [];
  readonly #environment: Environment;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  text(variable: string, fallback?: string, pattern?: RegExp): string {
    const value = this.#environment[variable] ?? "";
    if (value === "") {
      if (fallback === undefined) this.#fault(variable, "field required");
      return fallback ?? "";
    }
    if (pattern && !pattern.test(value)) {
      this.#fault(variable, `string should match pattern '${pattern.source}'`);
    }
    return value;
  }

  choice<Choice extends string>(
    variable: string,
    choices: readonly Choice[],
    fallback: Choice,
  ): Choice {
    const value = this.text(variable, fallback);
    const chosen = choices.find((choice) => choice === value);
    if (chosen === undefined) {
      const quoted = choices.map((choice) => `'${choice}'`);
      this.#fault(
        variable,
        `input should be ${quoted.slice(0, -1).join(", ")} or ${quoted.slice(-1).join("")}`,
      );
    }
    return chosen ?? fallback;
  }

  integer(variable: string, minimum: number, maximum: number, fallback: number): number {
    const text = this.text(variable, String(fallback));
    if (!/^-?\d{1,15}$/.test(text)) {
      this.#fault(variable, "input should be a valid integer");
      return fallback;
    }
    const value = Number(text);
    if (value < minimum) {
      this.#fault(variable, `input should be greater than or equal to ${minimum}`);
    } else if (value > maximum) {
      this.#fault(variable, `input should be less than or equal to ${maximum}`);
    }
    return value;
  }

  seconds(variable: string, fallback: number): number {
    const maximum = 86_400;
    const text = this.text(variable, String(fallback));
    if (!/^-?\d{1,15}(\.\d+)?$/.test(text)) {
      this.#fault(variable, "input should be a valid number");
      return fallback;
    }
    const value = Number(text);
    if (value <= 0) this.#fault(variable, "input should be greater than 0");
    else if (value > maximum) {
      this.#fault(variable, `input should be less than or equal to ${maximum}`);
    }
    return value;
  }

  secret(variable: string): string {
    const path = this.#environment[variable] ?? "";
    if (path === "") {
      this.#fault(variable, "not set; it names the file that holds the secret");
      return "";
    }
    let bytes: Buffer;
    try {
      bytes = readFileSync(path);
    } catch (error) {
      this.#fault(variable, `cannot read ${path}: ${systemReason(error)}`);
      return "";
    }
    try {
      const secret = new TextDecoder("utf-8", { fatal: true }).decode(bytes).trim();
      if (secret === "") this.#fault(variable, `${path} is empty`);
      return secret;
    } catch {
      this.#fault(variable, `cannot read ${path}: not UTF-8 text`);
      return "";
    }
  }

  #fault(variable: string, message: string): void {
    this.faults.push(`${variable}: ${message}`);
  }
}

function systemReason(error: unknown): string {
  const number = (error as NodeJS.ErrnoException).errno ?? 0;
  return getSystemErrorMap().get(number)?.[1] ?? "unknown reason";
}
