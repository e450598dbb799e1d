import { Link, useSearchParams } from "react-router";

import { LIMITS, type Order } from "../api/contract";
import { Pagination } from "../components/Pagination";
import { ProductArt } from "../components/ProductArt";
import { Empty, Failed, Loading } from "../components/States";
import { StatusBadge } from "../components/StatusBadge";
import { count, formatDay, formatMoney } from "../format";
import { pageSearch, readPage, useTitle } from "../navigation";
import { useOrders } from "../queries";

const PAGE_SIZE = 10;

export function OrdersPage() {
  const [search] = useSearchParams();
  const page = readPage(search, LIMITS.page);
  useTitle(page > 1 ? `Orders, page ${page}` : "Orders");
  const orders = useOrders(page, PAGE_SIZE);
  return (
    <>
      <h1>Your orders</h1>
      {orders.isPending ? (
        <Loading what="your orders" reason={orders.failureReason}>
          <div className="skeleton skeleton-block" />
        </Loading>
      ) : !orders.data ? (
        <Failed error={orders.error} retry={orders.refetch} />
      ) : orders.data.items.length === 0 ? (
        <Empty
          title={orders.data.total > 0 ? "There are no more" : "You have not bought anything yet"}
          text={
            orders.data.total > 0
              ? "Your orders end before this page."
              : "What you buy is listed here, newest first."
          }
        >
          <Link className="button" to={orders.data.total > 0 ? "/orders" : "/"}>
            {orders.data.total > 0 ? "To the newest" : "To the shop"}
          </Link>
        </Empty>
      ) : (
        <ul className="orders" aria-busy={orders.isPlaceholderData}>
          {orders.data.items.map((order) => (
            <OrderRow key={order.id} order={order} />
          ))}
        </ul>
      )}
      {orders.data && (
        <Pagination
          label="Pages of orders"
          page={page}
          pages={Math.ceil(orders.data.total / PAGE_SIZE)}
          target={(number) => `/orders${pageSearch("", number)}`}
        />
      )}
    </>
  );
}

const SHOWN = 4;

function OrderRow({ order }: { order: Order }) {
  const pieces = order.items.reduce((sum, line) => sum + line.quantity, 0);
  return (
    <li className="order-row">
      <div className="order-art">
        {order.items.slice(0, SHOWN).map(({ product_id, name }) => (
          <ProductArt key={product_id} id={product_id} name={name} />
        ))}
        {order.items.length > SHOWN && <span>+{order.items.length - SHOWN}</span>}
      </div>
      <div className="order-words">
        <Link to={`/orders/${order.id}`}>
          Order of <time dateTime={order.created_at}>{formatDay(order.created_at)}</time>
        </Link>
        <p>
          {count(pieces, "item")} · <code>{order.id.slice(0, 8)}</code>
        </p>
      </div>
      <StatusBadge status={order.status} />
      <p className="price">{formatMoney(order.total)}</p>
    </li>
  );
}
