/** The payment service's test cards. */
export const CARDS = [
  { id: "pm_card_visa", name: "Visa", note: "Accepted" },
  { id: "pm_card_mastercard", name: "Mastercard", note: "Accepted" },
  { id: "pm_card_chargeDeclined", name: "Visa, declined", note: "To see what the shop says" },
  {
    id: "pm_card_chargeDeclinedInsufficientFunds",
    name: "Visa, without money",
    note: "Declined for that reason",
  },
] as const;

/** Returns a card's name for people. */
export function cardName(id: string): string {
  return CARDS.find((card) => card.id === id)?.name ?? id;
}
