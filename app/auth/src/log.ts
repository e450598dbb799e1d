/** Structured logs: one JSON object per line on standard output. */

import { pino, type DestinationStream, type Logger } from "pino";

import type { Settings } from "./settings";

export type { Logger };

const LEVELS: Readonly<Record<string, string>> = { warn: "warning", fatal: "critical" };

/** Returns the root; take a child with a `logger` name from it. */
export function createLog(
  { logLevel, release }: Pick<Settings, "logLevel" | "release">,
  destination?: DestinationStream,
): Logger {
  return pino(
    {
      level: logLevel === "WARNING" ? "warn" : logLevel.toLowerCase(),
      base: { release },
      messageKey: "message",
      errorKey: "exception",
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (level) => ({ level: LEVELS[level] ?? level }) },
      serializers: { exception: (error: Error) => error.stack ?? String(error) },
    },
    ...(destination ? [destination] : []),
  );
}

/** Makes records of what Node itself would print: warnings, and errors that nobody caught. */
export function hearTheRuntime(root: Logger): void {
  const log = root.child({ logger: "node" });
  process.removeAllListeners("warning");
  process.on("warning", (warning) => {
    log.warn({ exception: warning }, warning.message);
  });
  process.on("uncaughtException", (error) => {
    log.fatal({ exception: error }, "uncaught exception");
    process.exit(1);
  });
}

/** Returns an error in one line. */
export function reason(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reason(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  const [firstLine] = error.message.split("\n");
  return firstLine ? `${error.name}: ${firstLine}` : error.name;
}
