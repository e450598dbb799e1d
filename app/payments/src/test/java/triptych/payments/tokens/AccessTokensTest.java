package triptych.payments.tokens;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.crypto.ECDSASigner;
import com.nimbusds.jose.crypto.MACSigner;
import com.nimbusds.jose.jwk.Curve;
import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.jwk.gen.ECKeyGenerator;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.PlainJWT;
import com.nimbusds.jwt.SignedJWT;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.Date;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import triptych.payments.http.Problem;
import triptych.payments.http.ProblemType;

class AccessTokensTest {
  private static final Instant NOW = Instant.parse("2026-01-02T03:04:05Z");
  private static final UUID USER = UUID.fromString("00000000-0000-4000-8000-000000000001");

  private ECKey key;
  private String published;
  private boolean sourceAway;
  private final AtomicInteger fetches = new AtomicInteger();
  private final KeySet keys = new KeySet(this::fetch);
  private final AccessTokens tokens = at(NOW);

  @BeforeEach
  void publishAKey() throws JOSEException {
    key = newKey();
    published = new JWKSet(key.toPublicJWK()).toString();
    keys.fetch();
  }

  @Test
  void aGoodTokenTellsItsUser() throws JOSEException {
    assertEquals(USER, tokens.verify("Bearer " + signed(claims -> claims)));
    assertEquals(USER, tokens.verify("bearer   " + signed(claims -> claims)));
  }

  @Test
  void aTokenWithoutKeyIdIsTriedWithAllKeys() throws JOSEException {
    assertEquals(USER, tokens.verify("Bearer " + sign(key, null, good().build())));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "Bearer", "Bearer ", "Basic abc", "Token abc", "Bearer, abc"})
  void noTokenIsAChallenge(String authorization) {
    var problem = assertThrows(Problem.class, () -> tokens.verify(authorization));
    assertEquals(ProblemType.AUTHENTICATION_REQUIRED, problem.type());
    assertEquals("Bearer realm=\"triptych\"", problem.headers().get("WWW-Authenticate"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"garbage", "..", "a.b", "a.b.c", "e30.e30.", "\u0000", "é.é.é"})
  void garbageIsNoToken(String token) {
    assertInvalid(token);
  }

  @Test
  void everyClaimCounts() throws JOSEException {
    assertInvalid(signed(claims -> claims.issuer("someone")));
    assertInvalid(signed(claims -> claims.issuer(null)));
    assertInvalid(signed(claims -> claims.audience("another")));
    assertInvalid(signed(claims -> claims.audience((String) null)));
    assertInvalid(signed(claims -> claims.subject(null)));
    assertInvalid(signed(claims -> claims.subject("ada")));
    assertInvalid(signed(claims -> claims.issueTime(null)));
    assertInvalid(signed(claims -> claims.issueTime(later(60))));
    assertInvalid(signed(claims -> claims.notBeforeTime(later(60))));
    assertInvalid(signed(claims -> claims.expirationTime(null)));
    assertInvalid(signed(claims -> claims.expirationTime(later(0))));
  }

  @Test
  void forgeriesAreRefused() throws JOSEException {
    JWTClaimsSet claims = good().build();
    String[] parts = signed(c -> c).split("\\.");
    assertInvalid(new PlainJWT(claims).serialize());
    assertInvalid(sign(newKey(), key.getKeyID(), claims));
    assertInvalid(parts[0] + "." + parts[1] + ".");
    assertInvalid(parts[0] + "." + parts[1] + "." + "A".repeat(86));
    String other = signed(c -> c.subject(UUID.randomUUID().toString())).split("\\.")[1];
    assertInvalid(parts[0] + "." + other + "." + parts[2]);
    // The classic confusion: the public key taken for a shared secret.
    var confused =
        new SignedJWT(
            new JWSHeader.Builder(JWSAlgorithm.HS256).keyID(key.getKeyID()).build(), claims);
    confused.sign(new MACSigner(published.getBytes()));
    assertInvalid(confused.serialize());
  }

  @Test
  void aRememberedTokenStillExpires() throws JOSEException {
    String token = signed(claims -> claims);
    var clock = new SettableClock();
    var checker = new AccessTokens(keys, "triptych", "triptych-shop", clock);
    assertEquals(USER, checker.verify("Bearer " + token));
    clock.now = NOW.plus(Duration.ofHours(1));
    assertThrows(Problem.class, () -> checker.verify("Bearer " + token));
  }

  @Test
  void aWithdrawnKeyVoidsRememberedTokens() throws JOSEException {
    String token = signed(claims -> claims);
    assertEquals(USER, tokens.verify("Bearer " + token));
    published = new JWKSet(newKey().toPublicJWK()).toString();
    keys.fetch();
    assertInvalid(token);
  }

  @Test
  void anUnknownKeyIsFetchedButNotTooOften() throws JOSEException {
    ECKey next = newKey();
    String token = sign(next, next.getKeyID(), good().build());
    published = new JWKSet(java.util.List.of(key.toPublicJWK(), next.toPublicJWK())).toString();
    int before = fetches.get();
    assertEquals(USER, tokens.verify("Bearer " + token));
    assertEquals(before + 1, fetches.get());
    for (int i = 0; i < 5; i++) {
      ECKey unknown = newKey();
      assertInvalid(sign(unknown, unknown.getKeyID(), good().build()));
    }
    assertEquals(before + 1, fetches.get());
  }

  @Test
  void aFailingFetchKeepsTheKeys() throws JOSEException {
    sourceAway = true;
    assertThrows(Problem.class, keys::fetch);
    keys.refresh();
    published = "{\"keys\": []}";
    sourceAway = false;
    assertThrows(Problem.class, keys::fetch);
    assertEquals(USER, tokens.verify("Bearer " + signed(claims -> claims)));
  }

  private void assertInvalid(String token) {
    var problem = assertThrows(Problem.class, () -> tokens.verify("Bearer " + token), token);
    assertEquals(ProblemType.AUTHENTICATION_REQUIRED, problem.type());
    assertTrue(problem.headers().get("WWW-Authenticate").contains("invalid_token"));
  }

  private String fetch() {
    fetches.incrementAndGet();
    if (sourceAway) {
      throw Problem.unavailable("auth service", null);
    }
    return published;
  }

  private AccessTokens at(Instant time) {
    return new AccessTokens(keys, "triptych", "triptych-shop", Clock.fixed(time, ZoneOffset.UTC));
  }

  private String signed(UnaryOperator<JWTClaimsSet.Builder> change) throws JOSEException {
    return sign(key, key.getKeyID(), change.apply(good()).build());
  }

  private static String sign(ECKey with, String keyId, JWTClaimsSet claims) throws JOSEException {
    var token =
        new SignedJWT(new JWSHeader.Builder(JWSAlgorithm.ES256).keyID(keyId).build(), claims);
    token.sign(new ECDSASigner(with));
    return token.serialize();
  }

  private static JWTClaimsSet.Builder good() {
    return new JWTClaimsSet.Builder()
        .issuer("triptych")
        .audience("triptych-shop")
        .subject(USER.toString())
        .issueTime(later(-10))
        .expirationTime(later(900));
  }

  private static Date later(int seconds) {
    return Date.from(NOW.plusSeconds(seconds));
  }

  private static ECKey newKey() throws JOSEException {
    return new ECKeyGenerator(Curve.P_256).keyIDFromThumbprint(true).generate();
  }

  private static final class SettableClock extends Clock {
    private Instant now = NOW;

    @Override
    public ZoneOffset getZone() {
      return ZoneOffset.UTC;
    }

    @Override
    public Clock withZone(java.time.ZoneId zone) {
      return this;
    }

    @Override
    public Instant instant() {
      return now;
    }
  }
}
