package triptych.payments.tokens;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSVerifier;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import java.text.ParseException;
import java.time.Clock;
import java.time.Instant;
import java.util.Date;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;
import triptych.payments.http.Problem;
import triptych.payments.http.ProblemType;

/** Checks access tokens: JWT signed with ES256, the only algorithm that is ever accepted. */
public final class AccessTokens {
  private static final Pattern UUID_FORM =
      Pattern.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}");
  private static final int MAX_REMEMBERED = 1000;

  private final KeySet keys;
  private final String issuer;
  private final String audience;
  private final Clock clock;

  // Checking a signature costs more processor time than all else that a request is checked for, and
  // a token is used many times. Only good ones get in here.
  private final Map<String, Checked> remembered = new ConcurrentHashMap<>();

  private record Checked(UUID userId, Instant expiry, Object keySet) {}

  /** Accepts what {@code issuer} issued for {@code audience}. */
  public AccessTokens(KeySet keys, String issuer, String audience, Clock clock) {
    this.keys = keys;
    this.issuer = issuer;
    this.audience = audience;
    this.clock = clock;
  }

  /**
   * Returns the user of the token that an Authorization header carries.
   *
   * @throws Problem 401 if there is none or anything about it is wrong
   */
  public UUID verify(String authorization) {
    String[] parts = (authorization == null ? "" : authorization).split(" ", 2);
    if (parts.length != 2 || !parts[0].equalsIgnoreCase("Bearer") || parts[1].isEmpty()) {
      throw authenticationRequired("No bearer token was sent.", "");
    }
    String token = parts[1].strip();
    Checked checked = remembered.get(token);
    if (checked == null || !keys.isCurrent(checked.keySet)) {
      checked = check(token);
      if (remembered.size() >= MAX_REMEMBERED) {
        remembered.clear();
      }
      remembered.put(token, checked);
    }
    if (!checked.expiry.isAfter(clock.instant())) {
      throw invalid();
    }
    return checked.userId;
  }

  private Checked check(String token) {
    try {
      Object keySet = keys.current();
      SignedJWT jwt = SignedJWT.parse(token);
      if (!jwt.getHeader().getAlgorithm().equals(JWSAlgorithm.ES256) || !isSigned(jwt)) {
        throw invalid();
      }
      JWTClaimsSet claims = jwt.getJWTClaimsSet();
      String subject = claims.getSubject();
      if (!issuer.equals(claims.getIssuer())
          || !claims.getAudience().contains(audience)
          || claims.getExpirationTime() == null
          || claims.getIssueTime() == null
          || isLater(claims.getIssueTime())
          || isLater(claims.getNotBeforeTime())
          || subject == null
          || !UUID_FORM.matcher(subject).matches()) {
        throw invalid();
      }
      return new Checked(UUID.fromString(subject), claims.getExpirationTime().toInstant(), keySet);
    } catch (ParseException | JOSEException | IllegalArgumentException error) {
      throw invalid();
    }
  }

  private boolean isSigned(SignedJWT jwt) throws JOSEException {
    for (JWSVerifier verifier : keys.verifiersFor(jwt.getHeader().getKeyID())) {
      if (jwt.verify(verifier)) {
        return true;
      }
    }
    return false;
  }

  private boolean isLater(Date time) {
    return time != null && time.toInstant().isAfter(clock.instant());
  }

  private static Problem invalid() {
    return authenticationRequired("The access token is not valid.", ", error=\"invalid_token\"");
  }

  private static Problem authenticationRequired(String detail, String error) {
    return Problem.of(ProblemType.AUTHENTICATION_REQUIRED, detail)
        .header("WWW-Authenticate", "Bearer realm=\"triptych\"" + error);
  }
}
