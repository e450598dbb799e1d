/** Bodies of the operations, as in the contract. */

import type { TextBody, TextFields } from "../http/fields";

const EMAIL = {
  minLength: 3,
  maxLength: 254,
  // White space by Unicode, of which `\s` is not quite the same set in every language.
  pattern:
    /^[^\p{White_Space}@\u0000-\u001f]+@[^\p{White_Space}@\u0000-\u001f]+\.[^\p{White_Space}@\u0000-\u001f]+$/u,
  lowerCase: true,
};

/** A new account. */
export const REGISTRATION = {
  email: EMAIL,
  password: { minLength: 8, maxLength: 128 },
  name: { minLength: 1, maxLength: 100, pattern: /^[^\u0000-\u001f\u007f]*$/u },
} satisfies TextFields;
export type Registration = TextBody<typeof REGISTRATION>;

/** A log-in. No minimum length: a short password is wrong, not malformed. */
export const CREDENTIALS = {
  email: EMAIL,
  password: { minLength: 1, maxLength: 128 },
} satisfies TextFields;
export type Credentials = TextBody<typeof CREDENTIALS>;

/** A session's refresh token. */
export const REFRESH_REQUEST = {
  refresh_token: { minLength: 43, maxLength: 43, pattern: /^[A-Za-z0-9_-]{43}$/ },
} satisfies TextFields;
