/** Access tokens: JWT signed with ES256, the only algorithm that is ever used. */

import { createPrivateKey, createPublicKey, randomUUID, type KeyObject } from "node:crypto";

import { calculateJwkThumbprint, exportJWK, SignJWT } from "jose";

import { SettingsError, type Settings } from "../settings";

const ALGORITHM = "ES256";

/** Issues access tokens and publishes the key that checks them. */
export class AccessTokens {
  private constructor(
    private readonly key: KeyObject,
    private readonly keyId: string,
    private readonly issuer: string,
    private readonly audience: string,
    readonly ttl_s: number,
    /** The JSON Web Key Set (RFC 7517). */
    readonly keySet: { readonly keys: readonly object[] },
  ) {}

  static async create(
    settings: Pick<Settings, "jwtPrivateKey" | "jwtIssuer" | "jwtAudience" | "accessTokenTtl_s">,
  ): Promise<AccessTokens> {
    const key = loadKey(settings.jwtPrivateKey);
    const publicKey = await exportJWK(createPublicKey(key));
    // RFC 7638: the id follows from the key, so every process publishes the same one.
    const kid = await calculateJwkThumbprint(publicKey, "sha256");
    return new AccessTokens(
      key,
      kid,
      settings.jwtIssuer,
      settings.jwtAudience,
      settings.accessTokenTtl_s,
      { keys: [{ ...publicKey, kid, alg: ALGORITHM, use: "sig" }] },
    );
  }

  /** Returns a token for the user, valid for `ttl_s` seconds. */
  issue(userId: string): Promise<string> {
    const now_s = Math.floor(Date.now() / 1000);
    return new SignJWT()
      .setProtectedHeader({ alg: ALGORITHM, kid: this.keyId, typ: "JWT" })
      .setIssuer(this.issuer)
      .setAudience(this.audience)
      .setSubject(userId)
      .setIssuedAt(now_s)
      .setExpirationTime(now_s + this.ttl_s)
      .setJti(randomUUID())
      .sign(this.key);
  }
}

function loadKey(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new SettingsError(["JWT_PRIVATE_KEY_FILE: not a private key in PEM"]);
  }
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    throw new SettingsError(["JWT_PRIVATE_KEY_FILE: ES256 needs an EC key on P-256"]);
  }
  return key;
}
