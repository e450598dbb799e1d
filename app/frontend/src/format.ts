import type { Money } from "./api/contract";

/** The pages are in English, so are their numbers and dates, whatever the browser speaks. */
const LOCALE = "en-IE";

const formats = new Map<string, { format: Intl.NumberFormat; unit: number }>();

/** Returns an amount for people: `€195.90`. */
export function formatMoney({ amount, currency }: Money): string {
  let known = formats.get(currency);
  if (!known) {
    const format = new Intl.NumberFormat(LOCALE, { style: "currency", currency });
    known = { format, unit: 10 ** (format.resolvedOptions().maximumFractionDigits ?? 0) };
    formats.set(currency, known);
  }
  return known.format.format(amount / known.unit);
}

const numbers = new Intl.NumberFormat(LOCALE);
const moments = new Intl.DateTimeFormat(LOCALE, { dateStyle: "long", timeStyle: "short" });
const days = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium" });

export const formatNumber = (value: number): string => numbers.format(value);
export const formatMoment = (time: string): string => moments.format(new Date(time));
export const formatDay = (time: string): string => days.format(new Date(time));

/** Returns `1 item`, `2 items`. */
export function count(value: number, one: string, many = `${one}s`): string {
  return `${formatNumber(value)} ${value === 1 ? one : many}`;
}
