import { type SubmitEvent, useState } from "react";
import { Link, Navigate, useLocation } from "react-router";

import { isFault } from "../api/client";
import { Field } from "../components/Field";
import { ErrorNotice, Notice } from "../components/Notice";
import { useShop, useVisitor } from "../context";
import { FIELD_WORDS } from "../faults";
import { useTitle } from "../navigation";

/** Where somebody came from, and what for. */
export interface Arrival {
  from?: string;
  /** So many pieces of the product at `from` were to go into the cart. */
  add?: number;
  reason?: "cart" | "page" | "expired";
  email?: string;
}

const REASONS = {
  cart: "Log in, and it goes into your cart.",
  page: "Log in to see this page.",
  expired: "Your session has ended. Log in again and go on where you were.",
};

export function LogInPage() {
  useTitle("Log in");
  const { session } = useShop();
  const visitor = useVisitor();
  const arrival = (useLocation().state ?? {}) as Arrival;
  const [faults, setFaults] = useState<Record<string, string>>({});
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);

  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (busy) return;
    const form = event.currentTarget;
    const { email, password } = texts(form);
    const found = {
      ...checkEmail(email),
      ...(password ? {} : { password: "Enter your password." }),
    };
    setFaults(found);
    setError(null);
    if (focusFault(form, found)) return;
    setBusy(true);
    try {
      await session.logIn(email, password);
    } catch (fault) {
      setError(fault);
      if (isFault(fault, "validation")) setFaults({ email: FIELD_WORDS.email });
    } finally {
      setBusy(false);
    }
  };

  if (visitor.signedIn) return <GoOn arrival={arrival} />;
  return (
    <div className="narrow">
      <h1>Log in</h1>
      {arrival.reason && !error && (
        <Notice tone="plain">
          <p>{REASONS[arrival.reason]}</p>
        </Notice>
      )}
      {error !== null && <ErrorNotice error={error} focus />}
      <form className="form" noValidate onSubmit={(event) => void submit(event)}>
        <Field
          label="E-mail"
          name="email"
          type="email"
          autoComplete="username"
          defaultValue={arrival.email}
          fault={faults.email}
          required
        />
        <Field
          label="Password"
          name="password"
          type="password"
          autoComplete="current-password"
          fault={faults.password}
          required
        />
        <button type="submit" className="button button-wide" aria-disabled={busy}>
          {busy ? "Logging in…" : "Log in"}
        </button>
      </form>
      <p className="aside">
        New here?{" "}
        <Link to="/register" state={arrival}>
          Open an account
        </Link>
      </p>
    </div>
  );
}

/** Leads back to where somebody came from; that page is told what was wanted on it. */
export function GoOn({ arrival: { from = "/", add } }: { arrival: Arrival }) {
  return <Navigate to={from} replace state={add ? { add } : null} />;
}

/** Returns the texts of a form, by the names of its fields. */
export function texts(form: HTMLFormElement): { email: string; password: string; name: string } {
  const data = new FormData(form);
  const text = (name: string) => {
    const value = data.get(name);
    return typeof value === "string" ? value : "";
  };
  return { email: text("email").trim(), password: text("password"), name: text("name").trim() };
}

/** Returns what is wrong with an address by the contract's rule. */
export function checkEmail(email: string): Record<string, string> {
  const fits = /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(email) && email.length <= 254;
  return fits ? {} : { email: FIELD_WORDS.email };
}

/** Moves the focus to the first field at fault; returns whether there is one. */
export function focusFault(form: HTMLFormElement, faults: Record<string, string>): boolean {
  const [first] = Array.from(form.elements).filter(
    (element) => element instanceof HTMLInputElement && element.name in faults,
  );
  if (first instanceof HTMLInputElement) first.focus();
  return first !== undefined;
}
