package triptych.payments.http;

/** The name of this process among those that answer for the service: another with each start. */
final class InstanceId {
  /** Header that carries it on every answer. */
  static final String HEADER = "X-Instance-ID";

  static final String VALUE = RequestIds.fresh();

  private InstanceId() {}
}
