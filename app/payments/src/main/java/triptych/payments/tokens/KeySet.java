package triptych.payments.tokens;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWSVerifier;
import com.nimbusds.jose.crypto.ECDSAVerifier;
import com.nimbusds.jose.jwk.Curve;
import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jose.jwk.JWK;
import com.nimbusds.jose.jwk.JWKSet;
import java.text.ParseException;
import java.time.Duration;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.slf4j.Logger;
import triptych.payments.http.Problem;
import triptych.payments.telemetry.Logs;

/**
 * The keys that check access tokens, as the auth service publishes them. A fetch that fails leaves
 * the old ones in force.
 */
public final class KeySet {
  /** How long a key set is good for; a newer one is then to be fetched. */
  public static final Duration MAX_AGE = Duration.ofMinutes(5);

  /** Least time between two fetches for keys that are not known. */
  private static final Duration LEAST_PAUSE = Duration.ofSeconds(10);

  private static final Logger LOG = Logs.logger("keys");

  private final Supplier<String> source;
  private volatile Map<String, JWSVerifier> verifiers = Map.of();
  private long nextForUnknown = System.nanoTime();

  /**
   * Gets key sets from a source.
   *
   * @param source returns a JSON Web Key Set; throws the 503 problem if it can't be had
   */
  public KeySet(Supplier<String> source) {
    this.source = source;
  }

  /** Fetches the key set; throws the 503 problem, with the old keys kept, if it can't be had. */
  public void fetch() {
    try {
      var fetched = new LinkedHashMap<String, JWSVerifier>();
      for (JWK key : JWKSet.parse(source.get()).getKeys()) {
        if (key instanceof ECKey ec && ec.getCurve().equals(Curve.P_256)) {
          fetched.put(key.getKeyID(), new ECDSAVerifier(ec));
        }
      }
      if (fetched.isEmpty()) {
        throw new ParseException("no key on P-256", 0);
      }
      if (!fetched.keySet().equals(verifiers.keySet())) {
        LOG.atInfo().addKeyValue("keys", fetched.keySet()).log("keys fetched");
        verifiers = fetched;
      }
    } catch (ParseException | JOSEException error) {
      throw Problem.unavailable("auth service", error);
    }
  }

  /** Fetches the key set; a failure is logged, and the old keys stay. */
  public void refresh() {
    try {
      fetch();
    } catch (Problem problem) {
      LOG.atWarn().addKeyValue("reason", problem.getMessage()).log("keys not refreshed");
    }
  }

  /**
   * Returns the verifiers that may have to do with a key id: one, or for null all. An id that is
   * not known makes for a fetch.
   */
  Collection<JWSVerifier> verifiersFor(String keyId) {
    if (keyId == null) {
      return verifiers.values();
    }
    JWSVerifier known = verifiers.get(keyId);
    if (known == null) {
      refreshForUnknown(keyId);
      known = verifiers.get(keyId);
    }
    return known == null ? List.of() : List.of(known);
  }

  /** Says whether nothing has changed since {@link #current} returned this. */
  boolean isCurrent(Object state) {
    return verifiers == state;
  }

  /** Returns the present state, to be compared later. */
  Object current() {
    return verifiers;
  }

  private synchronized void refreshForUnknown(String keyId) {
    boolean waited = verifiers.containsKey(keyId); // another thread has just fetched it
    if (!waited && System.nanoTime() - nextForUnknown >= 0) {
      nextForUnknown = System.nanoTime() + LEAST_PAUSE.toNanos();
      refresh();
    }
  }
}
