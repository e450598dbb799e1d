import type { ReactNode } from "react";
import { Link } from "react-router";

import { ShopError, isFault } from "../api/client";
import { useOnline } from "../context";
import { explain } from "../faults";
import { ProductArt } from "./ProductArt";
import { ErrorNotice } from "./Notice";

interface LoadingProps {
  what: string;
  /** Why an earlier attempt failed, if one did. */
  reason: unknown;
  /** The page's heading, where it has no other yet. */
  title?: string;
  children: ReactNode;
}

/** Stands in for what is on its way; after a failed attempt it says so. */
export function Loading({ what, reason, title, children }: LoadingProps) {
  const online = useOnline();
  return (
    <div aria-busy="true">
      {title && <h1 className="visually-hidden">{title}</h1>}
      <p role="status" className={reason || !online ? "waiting" : "visually-hidden"}>
        {!online
          ? "You are offline. This page goes on as soon as there is a network."
          : reason
            ? `${explain(reason).title}. Trying again…`
            : `Loading ${what}…`}
      </p>
      <div aria-hidden="true">{children}</div>
    </div>
  );
}

interface FailedProps {
  error: unknown;
  retry: () => unknown;
  /** The page's heading, where it has no other. */
  title?: string;
}

/** Stands in for what could not be had: a way on, or a way to try again. */
export function Failed({ error, retry, title }: FailedProps) {
  if (isFault(error, "not-found", "product-not-found", "order-not-found", "validation")) {
    return <NotHere error={error} heading={title ? "h1" : "h2"} />;
  }
  return (
    <div className="state">
      {title && <h1 className="visually-hidden">{title}</h1>}
      <ErrorNotice error={error}>
        <button type="button" className="button" onClick={() => void retry()}>
          Try again
        </button>
      </ErrorNotice>
    </div>
  );
}

function NotHere({ error, heading }: { error: ShopError; heading: "h1" | "h2" }) {
  const known = error.fault === "validation" ? new ShopError("not-found", 404) : error;
  const { title, text } = explain(known);
  return (
    <Empty heading={heading} title={title} text={text}>
      <Link className="button" to="/">
        To the shop
      </Link>
    </Empty>
  );
}

interface EmptyProps {
  title: string;
  text: string;
  children?: ReactNode;
  /** The page has no heading but this one. */
  heading?: "h1" | "h2";
}

/** A page with nothing on it yet, and where to go from there. */
export function Empty({ title, text, children, heading: Heading = "h2" }: EmptyProps) {
  return (
    <div className="state state-empty">
      <div className="state-art">
        <ProductArt id={7} name="" />
      </div>
      <Heading className="state-title">{title}</Heading>
      <p>{text}</p>
      {children && <div className="actions">{children}</div>}
    </div>
  );
}
