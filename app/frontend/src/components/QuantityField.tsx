import { useId } from "react";

import { LIMITS } from "../api/contract";

interface Props {
  value: number;
  onChange: (quantity: number) => void;
  /** Of what, for those who hear the field without seeing where it stands. */
  of?: string;
  max?: number;
  busy?: boolean;
}

/** How many of something: a number to type, and two buttons beside it. */
export function QuantityField({ value, onChange, of, max = LIMITS.quantity, busy = false }: Props) {
  const id = useId();
  const name = of ? ` of ${of}` : "";
  const change = (quantity: number) => {
    if (Number.isInteger(quantity)) onChange(Math.min(Math.max(quantity, 1), max));
  };
  return (
    <div className="quantity" aria-busy={busy}>
      <label htmlFor={id} className={of ? "visually-hidden" : ""}>
        Quantity{name}
      </label>
      <div className="quantity-field">
        <button
          type="button"
          aria-label={`One fewer${name}`}
          aria-disabled={value <= 1}
          onClick={() => {
            change(value - 1);
          }}
        >
          −
        </button>
        <input
          id={id}
          type="number"
          inputMode="numeric"
          min={1}
          max={max}
          value={value}
          onChange={(event) => {
            change(event.target.valueAsNumber);
          }}
        />
        <button
          type="button"
          aria-label={`One more${name}`}
          aria-disabled={value >= max}
          onClick={() => {
            change(value + 1);
          }}
        >
          +
        </button>
      </div>
    </div>
  );
}
