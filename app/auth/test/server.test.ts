/** On real sockets: bodies of any length, broken HTTP, and an orderly stop. */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";

import { afterEach, beforeEach, expect, test } from "vitest";

import { newApp } from "./support";

type App = Awaited<ReturnType<typeof newApp>>["app"];

const LOGIN = { email: "ada@example.test", password: "x" };

let app: App;
let base: string;
let finish: () => void;

beforeEach(async () => {
  const finished = new Promise<undefined>((resolve) => {
    finish = () => {
      resolve(undefined);
    };
  });
  ({ app } = await newApp(
    {},
    {
      accounts: {
        add: () => finished,
        findLogin: () => Promise.resolve(undefined),
      },
    },
  ));
  base = await app.listen({ host: "127.0.0.1", port: 0 });
});

afterEach(async () => {
  finish();
  app.server.closeAllConnections();
  await app.close();
});

async function open(): Promise<Socket> {
  const { hostname, port } = new URL(base);
  const socket = connect(Number(port), hostname);
  await once(socket, "connect");
  return socket;
}

function post(path: string, body: string | ReadableStream): Promise<Response> {
  return fetch(base + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    duplex: "half",
  });
}

test("a body of undeclared length is counted while it is read", async () => {
  const chunks = (count: number) =>
    new ReadableStream({
      pull(controller) {
        controller.enqueue(new TextEncoder().encode(" ".repeat(1024)));
        count -= 1;
        if (count === 0) controller.close();
      },
    });
  const large = await post("/api/v1/auth/login", chunks(100));
  expect([large.status, await large.json()]).toEqual([
    413,
    expect.objectContaining({ type: "urn:triptych:problem:body-too-large" }) as unknown,
  ]);
  expect((await post("/api/v1/auth/login", chunks(64))).status).toBe(400);
});

test("a connection outlives a body that was too large", async () => {
  const socket = await open();
  const body = " ".repeat(1_000_000);
  socket.write(
    `POST /api/v1/auth/login HTTP/1.1\r\nHost: shop\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  socket.write("GET /health/live HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n");
  const answers = await text(socket);
  expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 413", "HTTP/1.1 200"]);
});

test("of several headers of one name, the first counts", async () => {
  const socket = await open();
  socket.write(
    "GET /health/live HTTP/1.1\r\nHost: shop\r\nX-Request-ID: one\r\nX-Request-ID: two\r\n\r\n" +
      "POST /api/v1/auth/login HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n" +
      "Content-Type: text/plain\r\nContent-Length: 1\r\nConnection: close\r\n\r\n{",
  );
  const answers = await text(socket);
  expect(answers).toContain("x-request-id: one\r\n");
  expect(answers).toContain("HTTP/1.1 400 Bad Request\r\nx-request-id: ");
});

test("headers may be as large as the gateway lets them be", async () => {
  const headers = { "x-large": "v".repeat(40_000) };
  expect((await fetch(`${base}/health/live`, { headers })).status).toBe(200);
});

test.each([
  ["garbage\r\n\r\n", "400 Bad Request"],
  ["GET / HTTP/1.1\r\nHost: shop\r\nContent-Length: -1\r\n\r\n", "400 Bad Request"],
  [
    `GET / HTTP/1.1\r\nHost: shop\r\nX-Large: ${"v".repeat(70_000)}\r\n\r\n`,
    "431 Request Header Fields Too Large",
  ],
])("what is not HTTP gets a plain answer", async (request, status) => {
  const socket = await open();
  socket.write(request);
  const answer = await text(socket);
  expect(answer).toBe(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
});

test("half a request hurts nobody", async () => {
  const socket = await open();
  socket.write(
    "POST /api/v1/auth/login HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n" +
      "Content-Length: 50\r\n\r\n{",
  );
  socket.destroy();
  expect((await post("/api/v1/auth/login", JSON.stringify(LOGIN))).status).toBe(401);
});

test("closing accepts no more, but lets a request finish", async () => {
  const unused = (await open()).resume();
  const hungUp = once(unused, "close");
  const registration = { email: "a@b.de", password: "long enough", name: "A" };
  const underWay = post("/api/v1/auth/register", JSON.stringify(registration));
  await once(app.server, "request");
  const closed = app.close();
  await expect(open()).rejects.toThrow(/ECONNREFUSED|ECONNRESET/);
  finish();
  const answer = await underWay;
  expect([answer.status, answer.headers.get("connection")]).toEqual([409, "close"]);
  await hungUp;
  await closed;
});
