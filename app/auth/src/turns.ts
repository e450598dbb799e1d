/** Lets a few tasks run at a time, the others in the order they came. */

interface Waiting {
  readonly go: () => void;
  readonly fail: (error: unknown) => void;
}

export class Turns {
  #free: number;
  #waiting: Waiting[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Runs a task when its turn comes. */
  async take<Value>(task: () => Promise<Value>): Promise<Value> {
    if (this.#free > 0) this.#free -= 1;
    else {
      await new Promise<void>((go, fail) => {
        this.#waiting.push({ go, fail });
      });
    }
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next) next.go();
      else this.#free += 1;
    }
  }

  /** Ends the waiting of all who wait now: their tasks will not run. */
  failWaiting(error: unknown): void {
    for (const { fail } of this.#waiting.splice(0)) fail(error);
  }
}
