import { type InputHTMLAttributes, useId } from "react";

interface Props extends InputHTMLAttributes<HTMLInputElement> {
  label: string;
  name: string;
  hint?: string;
  fault?: string | undefined;
}

/** A labelled input; what is wrong with it stands beside it and is tied to it. */
export function Field({ label, hint, fault, ...input }: Props) {
  const id = useId();
  const notes = [hint && !fault && `${id}-hint`, fault && `${id}-fault`].filter(Boolean);
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        aria-invalid={fault ? true : undefined}
        aria-describedby={notes.join(" ") || undefined}
        {...input}
      />
      {hint && !fault && (
        <p className="field-hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {fault && (
        <p className="field-fault" id={`${id}-fault`}>
          {fault}
        </p>
      )}
    </div>
  );
}
