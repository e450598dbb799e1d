import type { Order } from "../api/contract";

const WORDS = { paid: "Paid", pending: "Payment pending", payment_failed: "Not paid" } as const;

export function StatusBadge({ status }: { status: Order["status"] }) {
  return <span className={`status status-${status}`}>{WORDS[status]}</span>;
}
