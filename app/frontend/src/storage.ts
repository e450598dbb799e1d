import { createContext, useContext } from "react";

const StorageContext = createContext<Storage | null>(null);
export const StorageProvider = StorageContext.Provider;

/** Returns where this browser keeps what has to survive a reload. */
export function useStorage(): Storage {
  const storage = useContext(StorageContext);
  if (!storage) throw new Error("useStorage outside of StorageProvider");
  return storage;
}

/** Returns the browser's storage, or one in memory where the browser forbids it. */
export function browserStorage(): Storage {
  try {
    localStorage.setItem("triptych.probe", "");
    localStorage.removeItem("triptych.probe");
    return localStorage;
  } catch {
    return new MemoryStorage();
  }
}

class MemoryStorage implements Storage {
  readonly #items = new Map<string, string>();

  get length(): number {
    return this.#items.size;
  }

  clear(): void {
    this.#items.clear();
  }

  getItem(key: string): string | null {
    return this.#items.get(key) ?? null;
  }

  key(index: number): string | null {
    return [...this.#items.keys()][index] ?? null;
  }

  removeItem(key: string): void {
    this.#items.delete(key);
  }

  setItem(key: string, value: string): void {
    this.#items.set(key, value);
  }
}
