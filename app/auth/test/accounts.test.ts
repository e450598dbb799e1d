/** Passwords and tokens. */

import { generateKeyPairSync } from "node:crypto";

import { calculateJwkThumbprint, createLocalJWKSet, jwtVerify, type JSONWebKeySet } from "jose";
import { expect, test } from "vitest";

import { Passwords } from "../src/accounts/passwords";
import { SettingsError } from "../src/settings";
import { newKey, newTokens } from "./support";

test("passwords are hashed with the parameters that were decided on", async () => {
  const passwords = new Passwords();
  const [one, two] = await Promise.all([passwords.hash("x"), passwords.hash("x")]);
  expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
  expect(one).not.toBe(two);
});

test("passwords match only themselves", async () => {
  const passwords = new Passwords();
  const stored = await passwords.hash("correct \0 horse \u{1f40e}");
  expect(await passwords.matches(stored, "correct \0 horse \u{1f40e}")).toBe(true);
  expect(await passwords.matches(stored, "correct ")).toBe(false);
  expect(await passwords.matches(undefined, "correct")).toBe(false);
  expect(await passwords.matches("not a hash", "correct")).toBe(false);
});

test("a hash made by another implementation is understood", async () => {
  const ofArgon2Cffi =
    "$argon2id$v=19$m=19456,t=2,p=1$2sfUPSoNrFtmr4YlIfx1HA$xF5H87EaKOZym/8y6S0qL/5lO+qRbIvOzT+tFRvssSc";
  expect(await new Passwords().matches(ofArgon2Cffi, "correct horse")).toBe(true);
});

test("a burst is worked through, in turn", async () => {
  const passwords = new Passwords();
  const stored = await passwords.hash("x");
  const answers = Array.from({ length: 12 }, (_, i) =>
    passwords.matches(stored, i % 3 === 0 ? "x" : "y"),
  );
  expect(await Promise.all(answers)).toEqual(Array.from({ length: 12 }, (_, i) => i % 3 === 0));
});

test("published keys check tokens", async () => {
  const tokens = await newTokens();
  const userId = "0f6b3f0e-3c1c-4f6e-9a53-5e0c7c3f6a51";
  const { payload, protectedHeader } = await jwtVerify(
    await tokens.issue(userId),
    createLocalJWKSet(tokens.keySet as JSONWebKeySet),
    { issuer: "triptych", audience: "triptych-shop", algorithms: ["ES256"] },
  );
  expect(payload.sub).toBe(userId);
  expect(payload.jti).toMatch(/^[0-9a-f-]{36}$/);
  const [key] = (tokens.keySet as JSONWebKeySet).keys;
  expect(key).toEqual({
    kty: "EC",
    crv: "P-256",
    x: expect.any(String) as string,
    y: expect.any(String) as string,
    kid: await calculateJwkThumbprint(key ?? {}, "sha256"),
    alg: "ES256",
    use: "sig",
  });
  expect(protectedHeader).toEqual({ alg: "ES256", kid: key?.kid, typ: "JWT" });
});

test("tokens differ, key sets of one key do not", async () => {
  const key = newKey();
  const [one, two] = await Promise.all([newTokens(key), newTokens(key)]);
  expect(one.keySet).toEqual(two.keySet);
  expect(await one.issue("u")).not.toBe(await one.issue("u"));
});

test.each([
  ["another curve", newKey("P-384"), "ES256 needs an EC key on P-256"],
  [
    "RSA",
    generateKeyPairSync("rsa", { modulusLength: 2048 })
      .privateKey.export({ type: "pkcs8", format: "pem" })
      .toString(),
    "ES256 needs an EC key on P-256",
  ],
  ["no key", "root:x:0:0", "not a private key in PEM"],
])("%s is refused", async (_name, pem, message) => {
  await expect(newTokens(pem)).rejects.toThrow(
    new SettingsError([`JWT_PRIVATE_KEY_FILE: ${message}`]),
  );
});
