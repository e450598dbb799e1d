/** Stores that are away, hang or come back, played by a server of our own. */

import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

import { afterEach, expect, test } from "vitest";

import { Sessions, LoginBrake } from "../src/accounts/sessions";
import { Problem } from "../src/http/problems";
import type { Settings } from "../src/settings";
import { Database } from "../src/stores/database";
import { call, DeadlineError, within, type Store } from "../src/stores/outage";
import { Valkey } from "../src/stores/valkey";
import { keptLog } from "./support";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

class Away extends Error {}

const store: Store = {
  dependency: "session store",
  timeout_ms: 200,
  isOutage: (error) => error instanceof Away,
};

/** Makes an attempt that fails as told, one error a time, and then succeeds. */
function failing(...errors: Error[]): { attempt: () => Promise<string>; count: () => number } {
  let count = 0;
  return {
    attempt: () => {
      const error = errors[count];
      count += 1;
      return error ? Promise.reject(error) : Promise.resolve("answer");
    },
    count: () => count,
  };
}

async function problemOf(promise: Promise<unknown>): Promise<Problem> {
  const outcome: unknown = await promise.catch((error: unknown) => error);
  expect(outcome).toBeInstanceOf(Problem);
  return outcome as Problem;
}

test("a repeatable call is tried again once", async () => {
  const { attempt, count } = failing(new Away());
  expect(await call(store, true, attempt)).toBe("answer");
  expect(count()).toBe(2);
});

test("two failures are an outage", async () => {
  const { attempt, count } = failing(new Away("first"), new Away("second"));
  const problem = await problemOf(call(store, true, attempt));
  expect(problem.type).toBe("dependency-unavailable");
  expect(problem.cause).toEqual(new Away("second"));
  expect(count()).toBe(2);
});

test("a call that may not be repeated is not", async () => {
  const { attempt, count } = failing(new Away());
  await problemOf(call(store, false, attempt));
  expect(count()).toBe(1);
});

test("a defect is neither repeated nor called an outage", async () => {
  const { attempt, count } = failing(new RangeError("ours"));
  await expect(call(store, true, attempt)).rejects.toThrow(RangeError);
  expect(count()).toBe(1);
});

test("a call that hangs ends at its deadline, which leaves no time for another", async () => {
  let count = 0;
  const hang = () => {
    count += 1;
    return new Promise<never>(() => undefined);
  };
  const problem = await problemOf(call(store, true, hang));
  expect(problem.cause).toBeInstanceOf(DeadlineError);
  expect(count).toBe(1);
});

test("what is in time is left alone", async () => {
  expect(await within(10_000, Promise.resolve(7))).toBe(7);
});

/** A server that speaks no more than the test makes it; returns its port and its connections. */
async function server(onConnection: (socket: Socket) => void = () => undefined): Promise<{
  port: number;
  server: Server;
  sockets: Socket[];
}> {
  const sockets: Socket[] = [];
  const listening = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    onConnection(socket);
  });
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    listening.close();
  });
  return { port: (listening.address() as AddressInfo).port, server: listening, sockets };
}

function settings(port: number): Settings {
  return {
    databaseHost: "127.0.0.1",
    databasePort: port,
    databaseName: "shop",
    databaseUser: "shop",
    databasePassword: "secret",
    databasePoolSize: 2,
    databaseTimeout_s: 0.3,
    valkeyUrl: `redis://127.0.0.1:${port}/1`,
    valkeyTimeout_s: 0.3,
  } as Settings;
}

function newDatabase(port: number): Database {
  const database = new Database(settings(port), keptLog().log);
  closers.push(() => database.close());
  return database;
}

function newValkey(port: number): Valkey {
  const valkey = new Valkey(settings(port), keptLog().log);
  closers.push(() => {
    valkey.close();
  });
  return valkey;
}

const STATEMENT = { name: "one", text: "SELECT 1" };

test.each(["refuses", "hangs up", "hangs"])("a database that %s is unavailable", async (how) => {
  const { port, server: listening } = await server((socket) => {
    if (how === "hangs up") socket.destroy();
  });
  if (how === "refuses") await new Promise((resolve) => listening.close(resolve));
  const database = newDatabase(port);
  for (const attempt of [() => database.query(STATEMENT, []), () => database.ping()]) {
    const problem = await problemOf(attempt());
    expect(JSON.parse(problem.document("/", "id"))).toMatchObject({
      type: "urn:triptych:problem:dependency-unavailable",
      dependency: "database",
    });
  }
});

test("those who wait for a connection to a database that hangs learn what it came to", async () => {
  const { port } = await server();
  const database = newDatabase(port);
  const problems = await Promise.all(
    Array.from({ length: 9 }, () => problemOf(database.query(STATEMENT, []))),
  );
  // Two were under way, and the first of them spoke for all who waited.
  expect(new Set(problems).size).toBe(2);
});

test.each(["refuses", "hangs up", "hangs"])("a Valkey that %s is unavailable", async (how) => {
  const { port, server: listening } = await server((socket) => {
    if (how === "hangs up") socket.destroy();
  });
  if (how === "refuses") await new Promise((resolve) => listening.close(resolve));
  const valkey = newValkey(port);
  const sessions = new Sessions(valkey, 60);
  const brake = new LoginBrake(valkey);
  for (const attempt of [
    () => sessions.open("user"),
    () => sessions.redeem("token"),
    () => sessions.close("token"),
    () => brake.check("a@b.de"),
    () => brake.countFailure("a@b.de"),
  ]) {
    const problem = await problemOf(attempt());
    expect(JSON.parse(problem.document("/", "id"))).toMatchObject({
      type: "urn:triptych:problem:dependency-unavailable",
      dependency: "session store",
    });
  }
});

/** Just enough of a Valkey: answers PING, GET and GETDEL as told, and the greeting. */
function miniValkey(reply: (command: string) => string | undefined): (socket: Socket) => void {
  return (socket) => {
    socket.on("data", (data) => {
      for (const [, command = ""] of data
        .toString()
        .matchAll(/(?:^|\r\n)\*\d+\r\n\$\d+\r\n(\w+)/g)) {
        const greeting = {
          hello: "-ERR unknown command 'HELLO'\r\n",
          info: "$9\r\nloading:0\r\n",
          select: "+OK\r\n",
        }[command.toLowerCase()];
        const answer = greeting ?? reply(command.toLowerCase());
        if (answer !== undefined) socket.write(answer);
      }
    });
  };
}

test("a command under way when the connection breaks is repeated only if it may be", async () => {
  const commands: string[] = [];
  const { port, sockets } = await server(
    miniValkey((command) => {
      commands.push(command);
      if (command === "ping") return "+PONG\r\n";
      // The first of each is lost with its connection.
      if (commands.filter((known) => known === command).length > 1) return "$-1\r\n";
      for (const socket of sockets) socket.destroy();
      return undefined;
    }),
  );
  const valkey = newValkey(port);
  await valkey.ping();
  await new LoginBrake(valkey).check("a@b.de");
  expect(commands.filter((command) => command === "get")).toHaveLength(2);
  await problemOf(new Sessions(valkey, 60).redeem("token"));
  expect(commands.filter((command) => command === "getdel")).toHaveLength(1);
});

test("the first command after a lost connection succeeds", async () => {
  const { port, sockets } = await server(miniValkey(() => "+PONG\r\n"));
  const valkey = newValkey(port);
  await valkey.ping();
  for (const socket of sockets.splice(0)) socket.destroy();
  await valkey.ping();
  expect(sockets).toHaveLength(1);
});

test.each([
  ["-LOADING Redis is loading the dataset in memory", true],
  ["-OOM command not allowed", true],
  ["-MISCONF no disk", true],
  ["-WRONGTYPE Operation against a key", false],
  ["-ERR syntax error", false],
])("the reply %s is an outage: %s", async (reply, isOutage) => {
  const { port } = await server(miniValkey(() => `${reply}\r\n`));
  const outcome = await newValkey(port)
    .call(false, (client) => client.get("x"))
    .catch((error: unknown) => error);
  expect(outcome).toBeInstanceOf(Error);
  expect(outcome instanceof Problem).toBe(isOutage);
});
