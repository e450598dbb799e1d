package triptych.payments.checkout;

import com.stripe.StripeClient;
import com.stripe.exception.ApiConnectionException;
import com.stripe.exception.CardException;
import com.stripe.exception.InvalidRequestException;
import com.stripe.exception.StripeException;
import com.stripe.model.PaymentIntent;
import com.stripe.net.ApiResource;
import com.stripe.net.RequestOptions;
import com.stripe.param.PaymentIntentCreateParams;
import com.stripe.param.PaymentIntentCreateParams.AutomaticPaymentMethods;
import java.net.SocketTimeoutException;
import java.time.Duration;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import triptych.payments.Settings;
import triptych.payments.http.ProblemType;
import triptych.payments.http.RequestIds;
import triptych.payments.orders.Order;
import triptych.payments.telemetry.Logs;
import triptych.payments.telemetry.Metrics;

/**
 * The payment gateway: Stripe's own SDK behind one call, which answers yes, or no, or that the
 * outcome is not known.
 *
 * <p>The SDK bounds each read, not the whole; it runs in its own few threads, so that a slow
 * gateway can exhaust those and nothing else, and nobody waits for them beyond the deadline.
 */
public final class PaymentGateway implements AutoCloseable {
  private static final int THREADS = 8;
  private static final int THREAD_IDLE_S = 30;

  /** States of an intent that asks for a step for which this shop has no page. */
  private static final Set<String> DEAD_ENDS =
      Set.of("requires_action", "requires_payment_method", "canceled");

  private static final Logger LOG = Logs.logger("gateway");

  private final Settings settings;
  private final Metrics metrics;
  private final Duration deadline;
  private final ThreadPoolExecutor threads;
  private StripeClient client;

  /** Knows the gateway's address and key; nothing connects yet. */
  public PaymentGateway(Settings settings, Metrics metrics) {
    this.settings = settings;
    this.metrics = metrics;
    this.deadline = settings.paymentDeadline();
    threads =
        new ThreadPoolExecutor(
            THREADS, THREADS, THREAD_IDLE_S, TimeUnit.SECONDS, new LinkedBlockingQueue<>());
    threads.setThreadFactory(task -> new Thread(task, "payment"));
    threads.allowCoreThreadTimeOut(true);
  }

  /** Loads the SDK ahead of the first payment, which would wait for it. */
  public void warmUp() {
    threads.execute(
        () -> {
          client();
          ApiResource.GSON.getAdapter(PaymentIntent.class);
          ApiResource.GSON.getAdapter(com.stripe.model.Charge.class);
        });
  }

  /**
   * Charges an order once, however often this is called for it: its id is the gateway's idempotency
   * key.
   *
   * @throws GatewayFault if the outcome is not known by the deadline, which includes the wait for a
   *     free thread
   */
  public Charge charge(Order order) throws GatewayFault {
    Future<Charge> call = threads.submit(RequestIds.carrying(() -> chargeNow(order)));
    try {
      Charge charge = outcome(call);
      metrics.paymentAnswered(charge instanceof Charge.Paid ? "paid" : "declined");
      return charge;
    } catch (GatewayFault fault) {
      metrics.paymentAnswered(fault.outcome());
      throw fault;
    }
  }

  private Charge outcome(Future<Charge> call) throws GatewayFault {
    try {
      return call.get(deadline.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException error) {
      call.cancel(true);
      throw new GatewayFault(
          ProblemType.PAYMENT_GATEWAY_TIMEOUT, "The payment gateway is too slow.", error);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
      throw new GatewayFault(
          ProblemType.PAYMENT_GATEWAY_UNAVAILABLE, "The service is being stopped.", error);
    } catch (ExecutionException error) {
      if (error.getCause() instanceof GatewayFault fault) {
        throw fault;
      }
      throw new IllegalStateException(error.getCause());
    }
  }

  private Charge chargeNow(Order order) throws GatewayFault {
    try {
      return settled(
          client()
              .v1()
              .paymentIntents()
              .create(
                  params(order),
                  RequestOptions.builder().setIdempotencyKey("order-" + order.id()).build()));
    } catch (CardException error) {
      return new Charge.Declined(firstOf(error.getDeclineCode(), error.getCode(), "card_declined"));
    } catch (InvalidRequestException error) {
      String code = firstOf(error.getCode(), "invalid_request");
      LOG.atWarn().addKeyValue("code", code).log("payment refused as invalid");
      return new Charge.Declined(code);
    } catch (ApiConnectionException error) {
      throw error.getCause() instanceof SocketTimeoutException
          ? new GatewayFault(
              ProblemType.PAYMENT_GATEWAY_TIMEOUT,
              "The payment gateway did not answer in time.",
              error)
          : new GatewayFault(
              ProblemType.PAYMENT_GATEWAY_UNAVAILABLE,
              "The payment gateway cannot be reached.",
              error);
    } catch (StripeException error) {
      LOG.atError()
          .addKeyValue("error", error.getClass().getSimpleName())
          .addKeyValue("http_status", error.getStatusCode())
          .log("payment gateway failed");
      throw new GatewayFault(
          ProblemType.PAYMENT_GATEWAY_ERROR, "The payment gateway failed.", error);
    }
  }

  private static PaymentIntentCreateParams params(Order order) {
    return PaymentIntentCreateParams.builder()
        .setAmount(order.totalMinor())
        .setCurrency(order.currency().toLowerCase(Locale.ROOT))
        .setPaymentMethod(order.paymentMethod())
        .setAutomaticPaymentMethods(
            AutomaticPaymentMethods.builder()
                .setEnabled(true)
                .setAllowRedirects(AutomaticPaymentMethods.AllowRedirects.NEVER)
                .build())
        .setConfirm(true)
        .putMetadata("order_id", order.id().toString())
        .addExpand("latest_charge")
        .build();
  }

  // The charge is what moved money. An intent that asks the customer for another step has none.
  private static Charge settled(PaymentIntent intent) throws GatewayFault {
    com.stripe.model.Charge charge = intent.getLatestChargeObject();
    if (charge != null) {
      if (Boolean.TRUE.equals(charge.getPaid()) && "succeeded".equals(charge.getStatus())) {
        return new Charge.Paid(intent.getId());
      }
      if ("failed".equals(charge.getStatus())) {
        return new Charge.Declined(firstOf(charge.getFailureCode(), "card_declined"));
      }
    }
    if (DEAD_ENDS.contains(intent.getStatus())) {
      return new Charge.Declined(intent.getStatus());
    }
    throw new GatewayFault(
        ProblemType.PAYMENT_GATEWAY_ERROR,
        "The payment gateway has not settled the payment.",
        null);
  }

  private static String firstOf(String... codes) {
    for (String code : codes) {
      if (code != null && !code.isEmpty()) {
        return code;
      }
    }
    throw new IllegalArgumentException("the last one is there");
  }

  // The SDK is large, and the service is live and ready without it.
  private synchronized StripeClient client() {
    if (client == null) {
      int timeoutMs = (int) settings.stripeTimeout().toMillis();
      client =
          StripeClient.builder()
              .setApiKey(settings.stripeApiKey().value())
              .setApiBase(settings.stripeApiBase().toString())
              .setConnectTimeout(timeoutMs)
              .setReadTimeout(timeoutMs)
              .setMaxNetworkRetries(settings.stripeMaxRetries())
              .build();
    }
    return client;
  }

  /** Starts no more payments; one that is under way is settled by recovery if need be. */
  @Override
  public void close() {
    threads.shutdownNow();
  }
}
