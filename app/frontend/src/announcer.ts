import { useSyncExternalStore } from "react";

let text = "";
const listeners = new Set<() => void>();

/** Has a screen reader say something that the eye sees by itself. */
export function announce(what: string): void {
  // A repeated text is news only if it differs: the space is not spoken.
  text = what === text ? `${what}\u00a0` : what;
  for (const listener of listeners) listener();
}

export function useAnnouncement(): string {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => text,
  );
}
