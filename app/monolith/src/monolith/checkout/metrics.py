"""What the checkout counts."""

from prometheus_client import Counter

PAYMENTS = Counter(
    "shop_payments_total", "Answers of the payment gateway, by outcome.", labelnames=("outcome",)
)
ORDERS = Counter("shop_orders_total", "Orders that reached a final state.", labelnames=("status",))
