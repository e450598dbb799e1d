import { expect, test } from "vitest";

import { Turns } from "../src/turns";

/** A task that ends when told. */
function task(): { run: () => Promise<void>; started: () => boolean; end: () => void } {
  let started = false;
  let end!: () => void;
  const ended = new Promise<void>((resolve) => (end = resolve));
  return {
    run: () => {
      started = true;
      return ended;
    },
    started: () => started,
    end,
  };
}

test("only so many run at a time, in the order they came", async () => {
  const turns = new Turns(2);
  const tasks = [task(), task(), task(), task()];
  const taken = tasks.map(({ run }) => turns.take(run));
  const running = () => tasks.map(({ started }) => started());
  expect(running()).toEqual([true, true, false, false]);
  tasks[1]?.end();
  await taken[1];
  await Promise.resolve();
  expect(running()).toEqual([true, true, true, false]);
  for (const { end } of tasks) end();
  await Promise.all(taken);
  expect(running()).toEqual([true, true, true, true]);
});

test("a task that fails gives its turn back", async () => {
  const turns = new Turns(1);
  await expect(turns.take(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await turns.take(() => Promise.resolve(7))).toBe(7);
});

test("who waits can be told to wait no longer; who runs is left alone", async () => {
  const turns = new Turns(1);
  const [first, second, later] = [task(), task(), task()];
  const running = turns.take(first.run);
  const waiting = turns.take(second.run);
  turns.failWaiting(new Error("away"));
  await expect(waiting).rejects.toThrow("away");
  expect(second.started()).toBe(false);
  first.end();
  await running;
  later.end();
  await turns.take(later.run);
  expect(later.started()).toBe(true);
});
