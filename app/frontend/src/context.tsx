import { type ReactNode, createContext, useContext, useSyncExternalStore } from "react";

import type { Visitor } from "./api/session";
import type { Shop } from "./api/shop";

const ShopContext = createContext<Shop | null>(null);

export function ShopProvider({ shop, children }: { shop: Shop; children: ReactNode }) {
  return <ShopContext value={shop}>{children}</ShopContext>;
}

/** Returns the shop that the pages talk to. */
export function useShop(): Shop {
  const shop = useContext(ShopContext);
  if (!shop) throw new Error("useShop outside of ShopProvider");
  return shop;
}

/** Returns who is looking, and follows log-ins and log-outs in any tab. */
export function useVisitor(): Visitor {
  const { session } = useShop();
  return useSyncExternalStore(session.subscribe, session.visitor);
}

/** Returns whether the browser thinks it has a network. */
export function useOnline(): boolean {
  return useSyncExternalStore(
    (listener) => {
      window.addEventListener("online", listener);
      window.addEventListener("offline", listener);
      return () => {
        window.removeEventListener("online", listener);
        window.removeEventListener("offline", listener);
      };
    },
    () => navigator.onLine,
  );
}
