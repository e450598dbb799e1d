package triptych.payments.database;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.postgresql.ds.PGSimpleDataSource;

class PatientDataSourceTest {
  @Test
  void settingUpMayTakeLongerThanCallersWait() {
    var server = new PGSimpleDataSource();
    new PatientDataSource(server).setLoginTimeout(1);
    assertEquals(0, server.getLoginTimeout());
  }
}
