package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"triptych/cart/internal/requestid"
)

func TestARecordIsOneLineOfJSON(t *testing.T) {
	var out bytes.Buffer
	log := Named(New(&out, slog.LevelInfo, "r1"), "cart.test")
	ctx := requestid.NewContext(context.Background(), "abc")
	log.WarnContext(ctx, "line\ntwo", "order_id", 7)

	if strings.Count(out.String(), "\n") != 1 {
		t.Fatalf("not one line: %q", out.String())
	}
	var entry map[string]any
	if err := json.Unmarshal(out.Bytes(), &entry); err != nil {
		t.Fatal(err)
	}
	written, err := time.Parse(time.RFC3339, entry["time"].(string))
	if err != nil || time.Since(written).Abs() > time.Minute || written.Location() != time.UTC {
		t.Errorf("time %v: %v", entry["time"], err)
	}
	delete(entry, "time")
	want := map[string]any{
		"level": "warning", "logger": "cart.test", "message": "line\ntwo", "release": "r1",
		"request_id": "abc", "order_id": 7.0,
	}
	for name, value := range want {
		if entry[name] != value {
			t.Errorf("%s is %v, not %v", name, entry[name], value)
		}
	}
	if len(entry) != len(want) {
		t.Errorf("members: %v", entry)
	}
}

func TestLevels(t *testing.T) {
	var out bytes.Buffer
	log := New(&out, slog.LevelInfo, "r1")
	log.Debug("no")
	log.Info("yes")
	if strings.Contains(out.String(), `"no"`) || !strings.Contains(out.String(), `"level":"info"`) {
		t.Error(out.String())
	}
	if strings.Contains(out.String(), "request_id") {
		t.Error("a record of no request names one")
	}
}

func TestMilliseconds(t *testing.T) {
	if got := Milliseconds(1234567 * time.Nanosecond); got != 1.23 {
		t.Error(got)
	}
}
