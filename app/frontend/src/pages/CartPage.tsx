import { useEffect, useRef, useState } from "react";
import { Link } from "react-router";

import type { Line } from "../api/contract";
import type { TaggedCart } from "../api/shop";
import { itemCount } from "../cart";
import { BinIcon } from "../components/Icons";
import { ErrorNotice, Notice } from "../components/Notice";
import { ProductArt } from "../components/ProductArt";
import { QuantityField } from "../components/QuantityField";
import { Empty, Failed, Loading } from "../components/States";
import { count, formatMoney } from "../format";
import { useTitle } from "../navigation";
import { CartChangedError, useCart, useChangeCart } from "../queries";

export function CartPage() {
  useTitle("Cart");
  const cart = useCart();
  if (cart.isPending) {
    return (
      <Loading what="your cart" reason={cart.failureReason} title="Your cart">
        <div className="skeleton skeleton-block" />
      </Loading>
    );
  }
  if (!cart.data) return <Failed error={cart.error} retry={cart.refetch} title="Your cart" />;
  return <Contents tagged={cart.data} />;
}

/** How long a quantity has to stand still before the shop hears of it. */
const SETTLE_MS = 400;

function Contents({ tagged: { cart } }: { tagged: TaggedCart }) {
  const { mutate, mutateAsync, error, isPending, variables } = useChangeCart();
  const [removed, setRemoved] = useState<Line | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);

  const remove = (line: Line) => {
    mutate(
      { kind: "remove", productId: line.product_id },
      {
        onSuccess: () => {
          setRemoved(line);
          // The button that had the focus is gone.
          heading.current?.focus();
        },
      },
    );
  };
  const undo = (line: Line) => {
    setRemoved(null);
    mutate({ kind: "set", productId: line.product_id, quantity: line.quantity });
    heading.current?.focus();
  };
  const clear = () => {
    mutate(
      { kind: "clear" },
      {
        onSuccess: () => {
          setRemoved(null);
          heading.current?.focus();
        },
      },
    );
  };

  return (
    <>
      <h1 ref={heading} tabIndex={-1}>
        Your cart
      </h1>
      {error && <ChangeFailed error={error} />}
      {removed && !error && (
        <Notice tone="plain">
          <p>
            {removed.name} is out of the cart.{" "}
            <button
              type="button"
              className="link"
              onClick={() => {
                undo(removed);
              }}
            >
              Put it back
            </button>
          </p>
        </Notice>
      )}
      {cart.items.length === 0 ? (
        <Empty
          title="There is nothing in it yet"
          text="What you put into the cart waits here for seven days."
        >
          <Link className="button" to="/">
            To the shop
          </Link>
        </Empty>
      ) : (
        <div className="with-summary">
          <section aria-label="What is in it">
            <ul className="lines">
              {cart.items.map((line) => (
                <CartLine
                  key={line.product_id}
                  line={line}
                  busy={
                    isPending && "productId" in variables && variables.productId === line.product_id
                  }
                  onQuantity={(quantity) => {
                    setRemoved(null);
                    return mutateAsync({ kind: "set", productId: line.product_id, quantity });
                  }}
                  onRemove={() => {
                    remove(line);
                  }}
                />
              ))}
            </ul>
            <ClearButton onClear={clear} />
          </section>
          <aside className="summary" aria-label="Sum">
            <p className="summary-row">
              <span>{count(itemCount(cart), "item")}</span>
              <span>{formatMoney(cart.total)}</span>
            </p>
            <p className="summary-row summary-total">
              <span>Total</span>
              <span>{formatMoney(cart.total)}</span>
            </p>
            <Link className="button button-wide" to="/checkout">
              Check out
            </Link>
            <p className="hint">Prices are today’s. Nothing is reserved before you pay.</p>
          </aside>
        </div>
      )}
    </>
  );
}

function ChangeFailed({ error }: { error: unknown }) {
  if (!(error instanceof CartChangedError)) return <ErrorNotice error={error} />;
  return (
    <Notice tone="bad" title="Your cart was changed in another window" focus>
      <p>Your last change was not made. This is the cart as it is now:</p>
      {error.changes.length > 0 && (
        <ul>
          {error.changes.map(({ productId, text }) => (
            <li key={`${productId}-${text}`}>{text}</li>
          ))}
        </ul>
      )}
    </Notice>
  );
}

interface LineProps {
  line: Line;
  busy: boolean;
  onQuantity: (quantity: number) => Promise<unknown>;
  onRemove: () => void;
}

function CartLine({ line, busy, onQuantity, onRemove }: LineProps) {
  const { product_id, name, unit_price, line_total } = line;
  /** What was asked for and is not the shop's word yet. */
  const [draft, setDraft] = useState<number | null>(null);
  const due = useRef<{ timer: ReturnType<typeof setTimeout>; commit: () => void }>(null);

  const change = (wanted: number) => {
    setDraft(wanted);
    clearTimeout(due.current?.timer);
    const commit = () => {
      due.current = null;
      const done = () => {
        setDraft((current) => (current === wanted ? null : current));
      };
      onQuantity(wanted).then(done, done);
    };
    due.current = { timer: setTimeout(commit, SETTLE_MS), commit };
  };
  useEffect(
    () => () => {
      // Somebody goes on to the checkout right after the last click: that click counts.
      clearTimeout(due.current?.timer);
      due.current?.commit();
    },
    [],
  );

  return (
    <li className="line" aria-busy={busy}>
      <div className="line-art">
        <ProductArt id={product_id} name={name} />
      </div>
      <div className="line-words">
        <Link to={`/products/${product_id}`}>{name}</Link>
        <p>{formatMoney(unit_price)} each</p>
      </div>
      <QuantityField value={draft ?? line.quantity} onChange={change} of={name} busy={busy} />
      <p className="line-total price">{formatMoney(line_total)}</p>
      <button
        type="button"
        className="icon-button"
        aria-label={`Take ${name} out of the cart`}
        onClick={() => {
          clearTimeout(due.current?.timer);
          due.current = null;
          onRemove();
        }}
      >
        <BinIcon />
      </button>
    </li>
  );
}

function ClearButton({ onClear }: { onClear: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  return (
    <>
      <button
        type="button"
        className="link clear"
        onClick={() => {
          dialog.current?.showModal();
        }}
      >
        Empty the cart
      </button>
      <dialog ref={dialog} aria-labelledby="clear-title">
        <h2 id="clear-title">Empty the cart?</h2>
        <p>All that is in it goes back to the shelf.</p>
        <div className="actions">
          <button
            type="button"
            className="button"
            onClick={() => {
              dialog.current?.close();
              onClear();
            }}
          >
            Empty it
          </button>
          <button
            type="button"
            className="button button-quiet"
            onClick={() => dialog.current?.close()}
          >
            Keep it
          </button>
        </div>
      </dialog>
    </>
  );
}
