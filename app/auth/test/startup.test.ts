import { expect, test } from "vitest";

import { dependencyUnavailable } from "../src/http/problems";
import { Startup } from "../src/startup";
import { keptLog } from "./support";

const ready = () => Promise.resolve();
const away = () => Promise.reject(new Error("connect ECONNREFUSED\nsecond line"));

test("done when everything is up, and not before", async () => {
  const { log, lines } = keptLog();
  const startup = new Startup(60, log);
  const seen: [boolean, string][] = [];
  let attempts = 0;
  const database = () => {
    seen.push([startup.done, startup.missing]);
    attempts += 1;
    return attempts < 3 ? away() : ready();
  };
  expect(
    await startup.run([
      { name: "session store", attempt: ready },
      { name: "database", attempt: database },
    ]),
  ).toBe(true);
  expect(startup.done).toBe(true);
  expect(seen.map(([done]) => done)).toEqual([false, false, false]);
  expect(seen.at(-1)).toEqual([false, "database"]);
  expect(lines.map((line) => line.message)).toEqual([
    "waiting for the database",
    "the database is up",
    "ready",
  ]);
  expect(lines[0]).toMatchObject({
    logger: "auth.startup",
    reason: "Error: connect ECONNREFUSED",
  });
});

test("gives up after the time it was given, with one line that says why", async () => {
  const { log, lines } = keptLog();
  const startup = new Startup(0.12, log);
  const unavailable = () =>
    Promise.reject(dependencyUnavailable("session store", new Error("closed")));
  expect(await startup.run([{ name: "session store", attempt: unavailable }])).toBe(false);
  expect(startup.done).toBe(false);
  expect(lines.filter((line) => line.level === "error").map((line) => line.message)).toEqual([
    "start-up failed: the session store not up after 0.12 s: Error: closed",
  ]);
});

test("being cancelled is no failure", async () => {
  const { log, lines } = keptLog();
  const startup = new Startup(60, log);
  const running = startup.run([{ name: "database", attempt: away }]);
  startup.cancel();
  expect(await running).toBe(true);
  expect(startup.done).toBe(false);
  expect(lines.filter((line) => line.level === "error")).toEqual([]);
});
