import { Link, useLocation, useParams } from "react-router";

import type { Order } from "../api/contract";
import { cardName } from "../cards";
import { ErrorNotice, Notice } from "../components/Notice";
import { ProductArt } from "../components/ProductArt";
import { Failed, Loading } from "../components/States";
import { StatusBadge } from "../components/StatusBadge";
import { declineReason } from "../faults";
import { formatMoment, formatMoney } from "../format";
import { useTitle } from "../navigation";
import { useOrder } from "../queries";

export function OrderPage() {
  const { orderId = "" } = useParams();
  const order = useOrder(orderId);
  useTitle("Order");
  if (order.isPending) {
    return (
      <Loading what="your order" reason={order.failureReason} title="Your order">
        <div className="skeleton skeleton-block" />
      </Loading>
    );
  }
  if (!order.data) return <Failed error={order.error} retry={order.refetch} title="Your order" />;
  return (
    <>
      {order.error && <ErrorNotice error={order.error} />}
      <Details order={order.data} />
    </>
  );
}

function Details({ order }: { order: Order }) {
  const justPaid = (useLocation().state as { paid?: boolean } | null)?.paid === true;
  return (
    <>
      <nav aria-label="Where this is" className="trail">
        <Link to="/orders">Your orders</Link>
        <span aria-hidden="true">/</span>
        <span>{order.id.slice(0, 8)}</span>
      </nav>
      <div className="title-row">
        <h1>{justPaid ? "Thank you. It is yours." : "Your order"}</h1>
        <StatusBadge status={order.status} />
      </div>
      <Progress order={order} justPaid={justPaid} />
      <div className="with-summary">
        <section aria-label="What was ordered">
          <ul className="lines">
            {order.items.map((line) => (
              <li key={line.product_id} className="line line-fixed">
                <div className="line-art">
                  <ProductArt id={line.product_id} name={line.name} />
                </div>
                <div className="line-words">
                  <Link to={`/products/${line.product_id}`}>{line.name}</Link>
                  <p>
                    {line.quantity} × {formatMoney(line.unit_price)}
                  </p>
                </div>
                <p className="line-total price">{formatMoney(line.line_total)}</p>
              </li>
            ))}
          </ul>
        </section>
        <aside className="summary" aria-label="About this order">
          <dl className="facts">
            <div>
              <dt>Number</dt>
              <dd>
                <code>{order.id}</code>
              </dd>
            </div>
            <div>
              <dt>Ordered</dt>
              <dd>
                <time dateTime={order.created_at}>{formatMoment(order.created_at)}</time>
              </dd>
            </div>
            {order.paid_at && (
              <div>
                <dt>Paid</dt>
                <dd>
                  <time dateTime={order.paid_at}>{formatMoment(order.paid_at)}</time>
                </dd>
              </div>
            )}
            <div>
              <dt>Card</dt>
              <dd>{cardName(order.payment_method)}</dd>
            </div>
            {order.payment_reference && (
              <div>
                <dt>Payment</dt>
                <dd>
                  <code>{order.payment_reference}</code>
                </dd>
              </div>
            )}
          </dl>
          <p className="summary-row summary-total">
            <span>Total</span>
            <span>{formatMoney(order.total)}</span>
          </p>
        </aside>
      </div>
    </>
  );
}

function Progress({ order, justPaid }: { order: Order; justPaid: boolean }) {
  switch (order.status) {
    case "paid":
      return justPaid ? (
        <Notice tone="good">
          <p>Your payment of {formatMoney(order.total)} went through.</p>
        </Notice>
      ) : null;
    case "pending":
      return (
        <Notice tone="plain" title="The payment is not settled yet">
          <p>
            The shop goes on with it by itself, and this page follows. You are never charged twice.
          </p>
        </Notice>
      );
    case "payment_failed":
      return (
        <Notice tone="bad" title="This order was not paid">
          <p>{declineReason(order.failure_code)} Nothing was charged.</p>
        </Notice>
      );
  }
}
