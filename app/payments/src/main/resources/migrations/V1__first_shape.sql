-- An order exists from the moment its idempotency key is used. While it is 'reserving' nobody sees
-- it: the stock is not ours yet, and it may go without a trace.
CREATE TABLE orders (
  id                uuid PRIMARY KEY,
  user_id           uuid NOT NULL,
  idempotency_key   varchar(128) NOT NULL,
  payment_method    varchar(128) NOT NULL,
  status            varchar(16) NOT NULL
                    CHECK (status IN ('reserving', 'pending', 'paid', 'payment_failed')),
  total_minor       bigint NOT NULL CHECK (total_minor >= 0),
  currency          varchar(3) NOT NULL,
  payment_reference varchar(255),
  failure_code      varchar(64),
  -- What another service is still to be told of a final order.
  release_owed      boolean NOT NULL DEFAULT false,
  purchase_owed     boolean NOT NULL DEFAULT false,
  -- Whoever works on an order has it to himself until then.
  lease_until       timestamptz NOT NULL,
  created_at        timestamptz NOT NULL DEFAULT now(),
  paid_at           timestamptz,
  UNIQUE (user_id, idempotency_key)
);

CREATE INDEX orders_history ON orders (user_id, created_at DESC, id) WHERE status <> 'reserving';

-- What recovery has to look after.
CREATE INDEX orders_open ON orders (lease_until)
  WHERE status IN ('reserving', 'pending') OR release_owed OR purchase_owed;

-- Name and price are those of the reservation, unknown before it.
CREATE TABLE order_items (
  order_id         uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
  product_id       integer NOT NULL,
  name             varchar(200),
  unit_price_minor bigint,
  quantity         integer NOT NULL CHECK (quantity BETWEEN 1 AND 99),
  PRIMARY KEY (order_id, product_id),
  CHECK ((name IS NULL) = (unit_price_minor IS NULL))
);
