package triptych.payments.peers;

import java.security.GeneralSecurityException;
import java.security.KeyManagementException;
import java.security.SecureRandom;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLContextSpi;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLServerSocketFactory;
import javax.net.ssl.SSLSessionContext;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManager;

/**
 * The platform's TLS, set up when it is first used. {@link java.net.http.HttpClient} would do it at
 * once, authorities and all, where other services are reached without it.
 */
final class LazyTls extends SSLContext {
  LazyTls() {
    super(new Spi(), null, "TLS");
  }

  private static final class Spi extends SSLContextSpi {
    private static SSLContext platform() {
      try {
        return SSLContext.getDefault();
      } catch (GeneralSecurityException error) {
        throw new IllegalStateException(error);
      }
    }

    @Override
    protected void engineInit(KeyManager[] keys, TrustManager[] trust, SecureRandom random)
        throws KeyManagementException {
      throw new KeyManagementException("the platform's default cannot be changed");
    }

    @Override
    protected SSLSocketFactory engineGetSocketFactory() {
      return platform().getSocketFactory();
    }

    @Override
    protected SSLServerSocketFactory engineGetServerSocketFactory() {
      return platform().getServerSocketFactory();
    }

    @Override
    protected SSLEngine engineCreateSSLEngine() {
      return platform().createSSLEngine();
    }

    @Override
    protected SSLEngine engineCreateSSLEngine(String host, int port) {
      return platform().createSSLEngine(host, port);
    }

    @Override
    protected SSLSessionContext engineGetServerSessionContext() {
      return platform().getServerSessionContext();
    }

    @Override
    protected SSLSessionContext engineGetClientSessionContext() {
      return platform().getClientSessionContext();
    }
  }
}
