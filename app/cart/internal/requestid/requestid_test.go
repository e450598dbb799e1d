package requestid

import (
	"regexp"
	"strings"
	"testing"
)

func TestWellFormedIDsAreKept(t *testing.T) {
	for _, id := range []string{"a", "trace.me_4-7", strings.Repeat("Z", 64)} {
		if got := Accept(id); got != id {
			t.Errorf("%q became %q", id, got)
		}
	}
}

func TestOthersAreReplaced(t *testing.T) {
	fresh := regexp.MustCompile(`^[0-9a-f]{32}$`)
	for _, id := range []string{"", "a b", strings.Repeat("x", 65), "ä", "a\n", `"><script>`, "a/b"} {
		if got := Accept(id); !fresh.MatchString(got) {
			t.Errorf("%q became %q", id, got)
		}
	}
	if first, second := Accept(""), Accept(""); first == second {
		t.Error("two requests got the same id")
	}
}
