import {
  QueryClient,
  keepPreviousData,
  useIsMutating,
  useMutation,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";

import { ShopError, isFault } from "./api/client";
import { LIMITS, type Page, type Product } from "./api/contract";
import type { TaggedCart } from "./api/shop";
import { type CartDifference, differences } from "./cart";
import { useShop, useVisitor } from "./context";

const RETRIES = 2;
const LONGEST_WAIT_MS = 5000;
const CART_CHANGE = ["change cart"];

/** Returns the pages' cache, which repeats reading calls that may well succeed a little later. */
export function createQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 15_000,
        retry: (failures, error) =>
          failures < RETRIES && error instanceof ShopError && error.passing,
        retryDelay: (failures, error) =>
          Math.min(
            error instanceof ShopError && error.retryAfterS !== null
              ? error.retryAfterS * 1000
              : 500 * 2 ** failures,
            LONGEST_WAIT_MS,
          ),
      },
      // A change is tried at once, and says so if there is no network, instead of waiting for one.
      mutations: { networkMode: "always" },
    },
  });
}

export function useProducts(query: string, page: number, size: number) {
  const shop = useShop();
  return useQuery({
    queryKey: ["products", query, page, size],
    queryFn: ({ signal }) => shop.products(query, page, size, signal),
    // The page before stays until the next one is there; other results say nothing about these.
    placeholderData: (found, shown) => (shown?.queryKey[1] === query ? found : undefined),
  });
}

export function useProduct(id: number) {
  const shop = useShop();
  const client = useQueryClient();
  return useQuery<Product>({
    queryKey: ["product", id],
    queryFn: ({ signal }) => shop.product(id, signal),
    enabled: Number.isSafeInteger(id),
    // What the catalogue has just shown is on the page at once; stock and price follow.
    placeholderData: () =>
      client
        .getQueriesData<Page<Product>>({ queryKey: ["products"] })
        .flatMap(([, found]) => found?.items ?? [])
        .find((product) => product.id === id),
  });
}

export function useOrders(page: number, size: number) {
  const shop = useShop();
  return useQuery({
    queryKey: ["orders", useAccount(), page],
    queryFn: ({ signal }) => shop.orders(page, size, signal),
    placeholderData: keepPreviousData,
    staleTime: 0,
  });
}

/** One order; a pending one is asked for again until it is settled. */
export function useOrder(id: string) {
  const shop = useShop();
  return useQuery({
    queryKey: ["order", useAccount(), id],
    queryFn: ({ signal }) => shop.order(id, signal),
    staleTime: 0,
    refetchInterval: ({ state }) => (state.data?.status === "pending" ? 3000 : false),
  });
}

/** The cart; without a session it is not asked for. */
export function useCart() {
  const shop = useShop();
  const account = useAccount();
  return useQuery({
    queryKey: ["cart", account],
    queryFn: ({ signal }) => shop.cart(signal),
    enabled: account !== null,
    staleTime: 2000,
  });
}

/** Says that the cart was changed elsewhere, and how. */
export class CartChangedError extends Error {
  override readonly name = "CartChangedError";

  constructor(readonly changes: CartDifference[]) {
    super("the cart was changed elsewhere");
  }
}

export type CartChange =
  | { kind: "set"; productId: number; quantity: number }
  | { kind: "remove"; productId: number }
  | { kind: "clear" };

/**
 * Changes the cart as this page shows it. If it is no longer so, nothing is changed: the mutation
 * fails with a CartChangedError, and the cart is shown as it is now.
 */
export function useChangeCart() {
  const { read, write, fetch, send } = useCartCache();
  return useMutation({
    // One after the other: each needs the tag that the one before it has left.
    scope: { id: "cart" },
    mutationKey: CART_CHANGE,
    mutationFn: async (change: CartChange) => {
      const seen = read() ?? (await fetch());
      try {
        write(await send(change, seen));
      } catch (error) {
        if (!isFault(error, "cart-changed")) throw error;
        const now = await fetch();
        throw new CartChangedError(differences(seen.cart, now.cart));
      }
    },
  });
}

/**
 * Adds to what the cart holds, whatever that is: if it has changed meanwhile, the sum is made again
 * from what is there now.
 */
export function useAddToCart() {
  const { fetch, write, send } = useCartCache();
  return useMutation({
    scope: { id: "cart" },
    mutationKey: CART_CHANGE,
    mutationFn: async ({ productId, quantity }: { productId: number; quantity: number }) => {
      for (let attempt = 1; ; attempt++) {
        const seen = await fetch();
        const held = seen.cart.items.find((line) => line.product_id === productId)?.quantity ?? 0;
        const sum = Math.min(held + quantity, LIMITS.quantity);
        try {
          write(await send({ kind: "set", productId, quantity: sum }, seen));
          return { held: sum, added: sum - held };
        } catch (error) {
          if (!isFault(error, "cart-changed") || attempt === 3) throw error;
        }
      }
    },
  });
}

/** Returns whether a change of the cart is under way. */
export function useCartChanging(): boolean {
  return useIsMutating({ mutationKey: CART_CHANGE }) > 0;
}

function useCartCache() {
  const shop = useShop();
  const client = useQueryClient();
  const key = ["cart", useAccount()];

  const read = () => client.getQueryData<TaggedCart>(key);
  const write = (cart: TaggedCart) => {
    client.setQueryData(key, cart);
  };
  const fetch = () =>
    client.query({ queryKey: key, queryFn: ({ signal }) => shop.cart(signal), staleTime: 0 });

  async function send(change: CartChange, { etag }: TaggedCart): Promise<TaggedCart> {
    // An answer that is on its way tells of the time before this change.
    await client.cancelQueries({ queryKey: key });
    switch (change.kind) {
      case "set":
        return await shop.setQuantity(change.productId, change.quantity, etag);
      case "remove":
        await shop.removeItem(change.productId, etag);
        return await fetch();
      case "clear":
        await shop.clearCart(etag);
        return await fetch();
    }
  }

  return { read, write, fetch, send };
}

/** Returns what the next page has to read again after a purchase. */
export function useForgetPurchased() {
  const client = useQueryClient();
  return async () => {
    await Promise.all(
      ["cart", "orders", "order", "product", "products"].map((name) =>
        client.invalidateQueries({ queryKey: [name] }),
      ),
    );
  };
}

/** Returns what keeps one account's data apart from another's. */
function useAccount(): string | null {
  const visitor = useVisitor();
  return visitor.signedIn ? visitor.userId : null;
}
