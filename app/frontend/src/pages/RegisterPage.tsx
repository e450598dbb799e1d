import { type SubmitEvent, useState } from "react";
import { Link, useLocation, useNavigate } from "react-router";

import { whenTold } from "../api/client";
import { LIMITS } from "../api/contract";
import { Field } from "../components/Field";
import { ErrorNotice } from "../components/Notice";
import { useShop, useVisitor } from "../context";
import { FIELD_WORDS, fieldFaults } from "../faults";
import { useTitle } from "../navigation";
import { type Arrival, GoOn, checkEmail, focusFault, texts } from "./LogInPage";

export function RegisterPage() {
  useTitle("Open an account");
  const shop = useShop();
  const visitor = useVisitor();
  const navigate = useNavigate();
  const arrival = (useLocation().state ?? {}) as Arrival;
  const [faults, setFaults] = useState<Record<string, string>>({});
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);

  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (busy) return;
    const form = event.currentTarget;
    const { email, password, name } = texts(form);
    const found = { ...checkName(name), ...checkEmail(email), ...checkPassword(password) };
    setFaults(found);
    setError(null);
    if (focusFault(form, found)) return;
    setBusy(true);
    let registered = false;
    try {
      await shop.register(email, password, name);
      registered = true;
      await whenTold(() => shop.session.logIn(email, password));
    } catch (fault) {
      if (registered) {
        // The account is there; only logging in did not work out yet.
        await navigate("/login", { replace: true, state: { ...arrival, email } });
        return;
      }
      setError(fault);
      setFaults(fieldFaults(fault));
    } finally {
      setBusy(false);
    }
  };

  if (visitor.signedIn) return <GoOn arrival={arrival} />;
  return (
    <div className="narrow">
      <h1>Open an account</h1>
      {error !== null && <ErrorNotice error={error} focus />}
      <form className="form" noValidate onSubmit={(event) => void submit(event)}>
        <Field label="Name" name="name" autoComplete="name" fault={faults.name} required />
        <Field
          label="E-mail"
          name="email"
          type="email"
          autoComplete="username"
          fault={faults.email}
          required
        />
        <Field
          label="Password"
          name="password"
          type="password"
          autoComplete="new-password"
          hint={`At least ${LIMITS.password.min} characters.`}
          fault={faults.password}
          required
        />
        <button type="submit" className="button button-wide" aria-disabled={busy}>
          {busy ? "Opening…" : "Open an account"}
        </button>
      </form>
      <p className="aside">
        You have one?{" "}
        <Link to="/login" state={arrival}>
          Log in
        </Link>
      </p>
    </div>
  );
}

function checkName(name: string): Record<string, string> {
  return name && length(name) <= LIMITS.name ? {} : { name: FIELD_WORDS.name };
}

function checkPassword(password: string): Record<string, string> {
  const { min, max } = LIMITS.password;
  const fits = length(password) >= min && length(password) <= max;
  return fits ? {} : { password: FIELD_WORDS.password };
}

/** The contract counts characters, not UTF-16 units. */
function length(text: string): number {
  return Array.from(text).length;
}
