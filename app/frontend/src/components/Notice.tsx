import { type ReactNode, type Ref, useEffect, useRef } from "react";

import { ShopError } from "../api/client";
import { explain } from "../faults";
import { CheckIcon, WarningIcon } from "./Icons";

interface Props {
  tone: "good" | "bad" | "plain";
  title?: string;
  children?: ReactNode;
  /** Takes the focus when it appears: for what stops somebody from going on. */
  focus?: boolean;
}

/** A message on the page, spoken when it appears. */
export function Notice({ tone, title, children, focus = false }: Props) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (focus) box.current?.focus();
  }, [focus]);
  return (
    <NoticeBox ref={box} tone={tone}>
      {title && <p className="notice-title">{title}</p>}
      {children}
    </NoticeBox>
  );
}

function NoticeBox(props: { ref: Ref<HTMLDivElement>; tone: Props["tone"]; children: ReactNode }) {
  const { ref, tone, children } = props;
  return (
    <div className={`notice notice-${tone}`} role={tone === "bad" ? "alert" : "status"}>
      {tone === "good" && <CheckIcon />}
      {tone === "bad" && <WarningIcon />}
      <div ref={ref} tabIndex={-1} className="notice-body">
        {children}
      </div>
    </div>
  );
}

interface ErrorProps {
  error: unknown;
  focus?: boolean;
  children?: ReactNode;
}

/** Says what went wrong and, where it helps us to find it in the logs, the request's id. */
export function ErrorNotice({ error, focus = false, children }: ErrorProps) {
  const { title, text } = explain(error);
  return (
    <Notice tone="bad" title={title} focus={focus}>
      <p>{text}</p>
      <Reference error={error} />
      {children}
    </Notice>
  );
}

function Reference({ error }: { error: unknown }) {
  if (!(error instanceof ShopError) || error.status < 500 || !error.problem.request_id) return null;
  return (
    <p className="notice-reference">
      Reference: <code>{error.problem.request_id}</code>
    </p>
  );
}
