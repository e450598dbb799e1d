import { useMemo, useState } from "react";
import { Link, Navigate } from "react-router";

import { type ShopError, isFault } from "../api/client";
import type { Cart, Shortage } from "../api/contract";
import { itemCount } from "../cart";
import { CARDS, cardName } from "../cards";
import { CardIcon } from "../components/Icons";
import { ErrorNotice, Notice } from "../components/Notice";
import { ProductArt } from "../components/ProductArt";
import { Empty, Failed, Loading } from "../components/States";
import { useShop } from "../context";
import { explain } from "../faults";
import { count, formatMoment, formatMoney } from "../format";
import { useTitle } from "../navigation";
import { type OpenPurchase, PurchaseBook, settle } from "../purchase";
import { useCart, useCartChanging, useChangeCart, useForgetPurchased } from "../queries";
import { useStorage } from "../storage";

export function CheckoutPage({ userId }: { userId: string }) {
  useTitle("Checkout");
  const cart = useCart();
  const purchase = usePurchase(userId);
  if (purchase.paid !== null) {
    return <Navigate to={`/orders/${purchase.paid}`} replace state={{ paid: true }} />;
  }
  if (cart.isPending) {
    return (
      <Loading what="your cart" reason={cart.failureReason} title="Checkout">
        <div className="skeleton skeleton-block" />
      </Loading>
    );
  }
  if (!cart.data) return <Failed error={cart.error} retry={cart.refetch} title="Checkout" />;
  // A purchase that is open may have emptied the cart already: it has to be settled all the same.
  if (cart.data.cart.items.length === 0 && !purchase.open && !purchase.busy) {
    return (
      <>
        <h1>Checkout</h1>
        <Empty title="There is nothing to pay for" text="Your cart is empty.">
          <Link className="button" to="/">
            To the shop
          </Link>
          <Link className="button button-quiet" to="/orders">
            Your orders
          </Link>
        </Empty>
      </>
    );
  }
  return <Counter cart={cart.data.cart} purchase={purchase} />;
}

/** The purchase of this account: begun at most once, and gone on with until its outcome is known. */
function usePurchase(userId: string) {
  const shop = useShop();
  const storage = useStorage();
  const forget = useForgetPurchased();
  const book = useMemo(() => new PurchaseBook(storage, userId), [storage, userId]);
  const [open, setOpen] = useState<OpenPurchase | null>(() => book.open());
  const [error, setError] = useState<ShopError | null>(null);
  const [waiting, setWaiting] = useState<ShopError | null>(null);
  const [paid, setPaid] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  const pay = async (card: string) => {
    if (busy) return;
    setBusy(true);
    setError(null);
    const begun = book.begin(card);
    try {
      const outcome = await settle(shop, book, begun, setWaiting);
      if (outcome.kind === "paid") setPaid(outcome.order.id);
      else setError(outcome.error);
    } finally {
      void forget();
      setOpen(book.open());
      setWaiting(null);
      setBusy(false);
    }
  };
  return { open, error, waiting, paid, busy, pay };
}

interface CounterProps {
  cart: Cart;
  purchase: ReturnType<typeof usePurchase>;
}

function Counter({ cart, purchase: { open, error, waiting, busy, pay } }: CounterProps) {
  const [card, setCard] = useState<string>(CARDS[0].id);
  const changing = useCartChanging();
  return (
    <>
      <h1>Checkout</h1>
      {open && !busy && <Unsettled purchase={open} error={error} />}
      {!open && error && <Refused error={error} cart={cart} />}
      <div className="with-summary">
        <form
          className="form"
          onSubmit={(event) => {
            event.preventDefault();
            if (!changing) void pay(open?.card ?? card);
          }}
        >
          {open ? (
            <p className="chosen-card">
              <CardIcon /> Paying with {cardName(open.card)}
            </p>
          ) : (
            <fieldset className="cards" disabled={busy}>
              <legend>Pay with a test card</legend>
              {CARDS.map(({ id, name, note }) => (
                <label key={id} className="card-choice">
                  <input
                    type="radio"
                    name="card"
                    value={id}
                    checked={card === id}
                    onChange={() => {
                      setCard(id);
                    }}
                  />
                  <CardIcon />
                  <span>
                    <strong>{name}</strong>
                    <small>{note}</small>
                  </span>
                </label>
              ))}
            </fieldset>
          )}
          <button type="submit" className="button button-wide" aria-disabled={busy || changing}>
            {busy
              ? "Paying…"
              : open
                ? "Go on with this purchase"
                : `Pay ${formatMoney(cart.total)}`}
          </button>
          <p role="status" className={waiting ? "waiting" : "visually-hidden"}>
            {waiting
              ? `${explain(waiting).title}. Asking again; you are never charged twice.`
              : busy
                ? "Your payment is being made."
                : ""}
          </p>
          <p className="hint">
            No money moves here: these are the payment service’s own test cards. Where a stand-in
            plays the service, it takes every card.
          </p>
        </form>
        <Summary cart={cart} />
      </div>
    </>
  );
}

function Summary({ cart }: { cart: Cart }) {
  return (
    <aside className="summary" aria-labelledby="summary-title">
      <h2 id="summary-title">
        {count(itemCount(cart), "item")} <Link to="/cart">Change</Link>
      </h2>
      <ul className="summary-lines">
        {cart.items.map(({ product_id, name, quantity, line_total }) => (
          <li key={product_id}>
            <ProductArt id={product_id} name={name} />
            <span>
              {name}
              <small> × {quantity}</small>
            </span>
            <span className="price">{formatMoney(line_total)}</span>
          </li>
        ))}
      </ul>
      <p className="summary-row summary-total">
        <span>Total</span>
        <span>{formatMoney(cart.total)}</span>
      </p>
    </aside>
  );
}

function Unsettled({ purchase, error }: { purchase: OpenPurchase; error: ShopError | null }) {
  const more = (
    <p>
      Go on with it below: it is the same purchase, and you are never charged twice.{" "}
      {purchase.orderId ? (
        <Link to={`/orders/${purchase.orderId}`}>See the order</Link>
      ) : (
        <Link to="/orders">See your orders</Link>
      )}
    </p>
  );
  if (error) {
    return (
      <ErrorNotice error={error} focus>
        {more}
      </ErrorNotice>
    );
  }
  return (
    <Notice tone="plain" title="You have begun to pay, and we do not know yet how it ended">
      <p>You began on {formatMoment(purchase.begunAt)}.</p>
      {more}
    </Notice>
  );
}

function Refused({ error, cart }: { error: ShopError; cart: Cart }) {
  const { order_id: orderId, shortages } = error.problem;
  return (
    <ErrorNotice error={error} focus>
      {isFault(error, "out-of-stock") && shortages && (
        <Shortages shortages={shortages} cart={cart} />
      )}
      {isFault(error, "payment-declined") && (
        <p>
          Choose another card below.{" "}
          {orderId && <Link to={`/orders/${orderId}`}>See the failed order</Link>}
        </p>
      )}
      {isFault(error, "idempotency-key-reused", "cart-empty") && (
        <p>
          <Link to="/orders">See your orders</Link>
        </p>
      )}
    </ErrorNotice>
  );
}

function Shortages({ shortages, cart }: { shortages: Shortage[]; cart: Cart }) {
  const { mutateAsync, isPending, isSuccess, error } = useChangeCart();
  const names = new Map(cart.items.map((line) => [line.product_id, line.name]));
  const adjust = async () => {
    for (const { product_id: productId, available } of shortages) {
      await mutateAsync(
        available > 0
          ? { kind: "set", productId, quantity: available }
          : { kind: "remove", productId },
      );
    }
  };
  return (
    <>
      <ul>
        {shortages.map(({ product_id, requested, available }) => (
          <li key={product_id}>
            {names.get(product_id) ?? `Article ${product_id}`}: {available} left, you want{" "}
            {requested}
          </li>
        ))}
      </ul>
      {isSuccess ? (
        <p>Your cart now holds what there is.</p>
      ) : (
        <button
          type="button"
          className="button button-quiet"
          aria-disabled={isPending}
          onClick={() => {
            // What fails is shown below; the cart is as far as it got.
            if (!isPending) adjust().catch(() => undefined);
          }}
        >
          Take what there is
        </button>
      )}
      {error && <p>{explain(error).text}</p>}
    </>
  );
}
