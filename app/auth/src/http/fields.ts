/**
 * Bodies of text fields, checked as the contract's schemas say: no unknown members, no coercion,
 * lengths in code points. All this service's bodies are such, so a general JSON Schema validator
 * would be more to start than to use.
 */

import { invalidBody, type FieldError } from "./problems";

interface TextField {
  readonly minLength: number;
  readonly maxLength: number;
  readonly pattern?: RegExp;
  /** Compared and stored in lower case. */
  readonly lowerCase?: boolean;
}

export type TextFields = Readonly<Record<string, TextField>>;
export type TextBody<Fields extends TextFields> = { readonly [Name in keyof Fields]: string };

/** Returns the body with its types known; throws the 422 problem that names each fault. */
export function readBody<Fields extends TextFields>(
  fields: Fields,
  body: unknown,
): TextBody<Fields> {
  if (body === undefined || body === null) {
    throw invalidBody([{ field: "", message: "Field required" }]);
  }
  if (typeof body !== "object" || Array.isArray(body)) {
    throw invalidBody([{ field: "", message: "Input should be an object" }]);
  }
  const members = new Map<string, unknown>(Object.entries(body));
  if (![...members.keys()].every((name) => name.isWellFormed())) {
    throw invalidBody([{ field: "", message: "Names should not contain lone surrogates" }]);
  }
  const faults: FieldError[] = [];
  const values: Record<string, string> = {};
  for (const [name, field] of Object.entries(fields)) {
    const given = members.get(name);
    // Before the length is looked at: "İ" is two code points in lower case.
    const value = field.lowerCase && typeof given === "string" ? given.toLowerCase() : given;
    const message = members.has(name) ? fault(field, value) : "Field required";
    if (message !== undefined) faults.push({ field: name, message });
    else if (typeof value === "string") values[name] = value;
    members.delete(name);
  }
  for (const name of members.keys()) {
    faults.push({ field: name, message: "Extra inputs are not permitted" });
  }
  if (faults.length > 0) throw invalidBody(faults);
  return values as TextBody<Fields>;
}

function fault(field: TextField, value: unknown): string | undefined {
  if (typeof value !== "string") return "Input should be a valid string";
  if (!value.isWellFormed()) return "Input should be a valid string without lone surrogates";
  const length = Array.from(value).length;
  if (length < field.minLength) return `String should have at least ${field.minLength} characters`;
  if (length > field.maxLength) return `String should have at most ${field.maxLength} characters`;
  if (field.pattern && !field.pattern.test(value))
    return "String should match the contract's pattern";
  return undefined;
}
