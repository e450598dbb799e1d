package input

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"triptych/cart/internal/problem"
)

const jsonType = "application/json"

// take sends a body with a Content-Type through a check, and returns the error of Body, which
// goes before all faults, else what there is of those.
func take(contentType string, body io.Reader, check Check) error {
	r := httptest.NewRequest(http.MethodPut, "/", body)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	in := From(r)
	if err := in.Body(httptest.NewRecorder(), check); err != nil {
		return err
	}
	return in.Err()
}

// anything is a check that is content with any value.
func anything(*Reader, json.RawMessage, string) {}

// faultsOf returns "in field" of each fault of a body of {"quantity": 1 to 99}, and the quantity.
func faultsOf(t *testing.T, text string) ([]string, int) {
	t.Helper()
	quantity := -1
	err := take(jsonType, strings.NewReader(text), Object(Member{"quantity", Integer(&quantity, 1, 99)}))
	return describe(t, err), quantity
}

func describe(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var invalid *problem.Problem
	if !errors.As(err, &invalid) || invalid.Kind != problem.Validation {
		t.Fatalf("not a 422: %v", err)
	}
	var faults []string
	for _, fault := range invalid.Errors {
		if fault.Message == "" {
			t.Errorf("%s %s has no message", fault.In, fault.Field)
		}
		faults = append(faults, fault.In+" "+fault.Field)
	}
	return faults
}

func TestBrokenJSON(t *testing.T) {
	for name, text := range map[string]string{
		"cut":                    `{`,
		"trailing comma":         `{"quantity": 1,}`,
		"single quotes":          `{'quantity': 1}`,
		"two documents":          `{} {}`,
		"bare word":              `quantity`,
		"blank":                  `  `,
		"leading zero":           `{"quantity": 01}`,
		"plus":                   `{"quantity": +1}`,
		"NaN":                    `{"quantity": NaN}`,
		"infinity":               `{"quantity": -Infinity}`,
		"bad escape":             `{"\x": 1}`,
		"control character":      "{\"a\x01\": 1}",
		"NUL":                    "\x00",
		"not UTF-8":              "{\"quantity\": \"\xff\xfe\"}",
		"surrogate in UTF-8":     "{\"\xed\xa0\x80\": 1}",
		"UTF-16":                 "{\x00}\x00",
		"only a byte order mark": "\ufeff",
		"two of them":            "\ufeff\ufeff{}",
		"one in the middle":      "{\ufeff}",
		"deep and cut":           strings.Repeat("[", 60_000),
		"deep":                   strings.Repeat("[", 15_000) + strings.Repeat("]", 15_000),
		"huge integer":           "[" + strings.Repeat("9", 60_000) + "]",
		"integer, 4301 digits":   `{"quantity": ` + strings.Repeat("9", 4301) + `}`,
		"such a negative one":    `{"quantity": -` + strings.Repeat("9", 4301) + `}`,
		"such a one, where else": `{"quantity": 1, "a": [{"b": ` + strings.Repeat("9", 4301) + `}]}`,
	} {
		err := take(jsonType, strings.NewReader(text), anything)
		var malformed *problem.Problem
		if !errors.As(err, &malformed) || malformed.Kind != problem.MalformedJSON {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFaultsOfABody(t *testing.T) {
	quantity := []string{"body quantity"}
	whole := []string{"body "}
	for text, want := range map[string][]string{
		``:                                    whole,
		`[]`:                                  whole,
		`7`:                                   whole,
		`"text"`:                              whole,
		`null`:                                whole,
		`true`:                                whole,
		`[["quantity", 1]]`:                   whole,
		`{}`:                                  quantity,
		`{"quantity": 0}`:                     quantity,
		`{"quantity": -0}`:                    quantity,
		`{"quantity": 100}`:                   quantity,
		`{"quantity": 1.0}`:                   quantity,
		`{"quantity": 1e0}`:                   quantity,
		`{"quantity": 1E2}`:                   quantity,
		`{"quantity": "2"}`:                   quantity,
		`{"quantity": true}`:                  quantity,
		`{"quantity": null}`:                  quantity,
		`{"quantity": [1]}`:                   quantity,
		`{"quantity": "\ud800"}`:              quantity,
		`{"quantity": 2, "quantity": 0}`:      quantity,
		`{"quantity": 9223372036854775808}`:   quantity,
		`{"quantity": -99999999999999999999}`: quantity,
		`{"Quantity": 1}`:                     {"body quantity", "body Quantity"},
		`{"b": 1, "a": 1, "b": 2, "quantity": 1}`:               {"body b", "body a"},
		`{"a.b": {"c": [1, {}]}, "quantity": 0}`:                {"body quantity", "body a.b"},
		`{"": 1, "quantity": 1}`:                                {"body "},
		`{"\ud83d\ude00": 1, "quantity": 1}`:                    {"body 😀"},
		`{"\\ud800": 1, "quantity": 1}`:                         {`body \ud800`},
		`{"\ud800": 1, "quantity": 0, "a": 1}`:                  whole,
		`{"a\uDC00": 1, "quantity": 1}`:                         whole,
		`{"\ud83d\ude00\ud83d": 1}`:                             whole,
		`{"\ud800\ud800": 1}`:                                   whole,
		`{"\ud800\u0041": 1}`:                                   whole,
		`{"quantity": ` + strings.Repeat("9", 4300) + `}`:       quantity,
		`{"quantity": 0.` + strings.Repeat("9", 5000) + `}`:     quantity,
		strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000): whole,
	} {
		if got, _ := faultsOf(t, text); !reflect.DeepEqual(got, want) {
			t.Errorf("%.60s: %q, not %q", text, got, want)
		}
	}
}

func TestGoodBodies(t *testing.T) {
	for text, want := range map[string]int{
		`{"quantity": 1}`:                1,
		" {\n\"quantity\"\t: 99 } ":      99,
		"\ufeff{\"quantity\": 4}":        4,
		`{"quantity": 0, "quantity": 2}`: 2, // the last one counts
		`{"qu\u0061ntity": 3}`:           3,
	} {
		if faults, got := faultsOf(t, text); faults != nil || got != want {
			t.Errorf("%s: %d, %q", text, got, faults)
		}
	}
}

func TestMembersOfMembers(t *testing.T) {
	check := func(lowest, highest int) []string {
		const text = `{"lines": [{"id": 1}, {"id": 0, "x": 1}, 7, {}]}`
		return describe(t, take(jsonType, strings.NewReader(text), Object(Member{"lines",
			Array(lowest, highest, Object(Member{"id", Integer(new(int), 1, MaxID)}))})))
	}
	want := []string{"body lines.1.id", "body lines.1.x", "body lines.2", "body lines.3.id"}
	if got := check(1, 4); !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
	for _, bounds := range [][2]int{{5, 9}, {0, 3}} {
		if got := check(bounds[0], bounds[1]); !reflect.DeepEqual(got, []string{"body lines"}) {
			t.Errorf("%v: %q", bounds, got)
		}
	}
}

func TestMediaTypes(t *testing.T) {
	for contentType, good := range map[string]bool{
		"application/json":                     true,
		"Application/JSON":                     true,
		"application/json;":                    true,
		"application/json; charset=utf-8":      true,
		`application/json ;charset="UTF-8"`:    true,
		"":                                     false,
		"json":                                 false,
		"text/plain":                           false,
		"application/problem+json":             false,
		"application/json; charset=latin-1":    false,
		"application/json, text/plain":         false,
		"application/x-www-form-urlencoded":    false,
		"application/json; charset=utf-8; a=b": false,
	} {
		err := take(contentType, strings.NewReader("{}"), anything)
		var refused *problem.Problem
		if good != (err == nil) ||
			!good && (!errors.As(err, &refused) || refused.Kind != problem.UnsupportedMediaType) {
			t.Errorf("%q: %v", contentType, err)
		}
	}
}

func TestSizes(t *testing.T) {
	padded := func(size int) io.Reader {
		// A length that is not declared, as a chunked body has none.
		return io.MultiReader(strings.NewReader(`{"quantity": 1` + strings.Repeat(" ", size-15) + "}"))
	}
	if err := take(jsonType, padded(MaxBodyBytes), anything); err != nil {
		t.Error(err)
	}
	err := take(jsonType, padded(MaxBodyBytes+1), anything)
	var tooLarge *problem.Problem
	if !errors.As(err, &tooLarge) || tooLarge.Kind != problem.BodyTooLarge {
		t.Error(err)
	}
}

func TestProductIDs(t *testing.T) {
	for raw, want := range map[string]int{
		"1": 1, "2147483647": MaxID, "0000000001": 1,
		"0": 0, "-1": 0, "+1": 0, "1.0": 0, "1_0": 0, "abc": 0, "": 0, " 1": 0, "١": 0, "１": 0,
		"2147483648": 0, "9999999999": 0, "00000000001": 0, "99999999999": 0, "\x00": 0,
	} {
		r := httptest.NewRequest(http.MethodPut, "/", nil)
		r.SetPathValue("product_id", raw)
		in := From(r)
		id := in.ProductID("product_id")
		faults := describe(t, in.Err())
		if want > 0 && (id != want || faults != nil) ||
			want == 0 && !reflect.DeepEqual(faults, []string{"path product_id"}) {
			t.Errorf("%q: %d, %q", raw, id, faults)
		}
	}
}

func TestUUIDs(t *testing.T) {
	const good = "0F6B3f0e-3c1c-4f6e-9a53-5e0c7c3f6a51"
	for raw, valid := range map[string]bool{
		good: true, strings.ReplaceAll(good, "-", ""): false, "{" + good + "}": false,
		"urn:uuid:" + good: false, good[1:]: false, "g" + good[1:]: false, "": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetPathValue("user_id", raw)
		in := From(r)
		id := in.UUID("user_id")
		if valid != (in.Err() == nil) || valid && id.String() != strings.ToLower(good) {
			t.Errorf("%q: %s, %v", raw, id, in.Err())
		}
	}
}

func TestIfMatch(t *testing.T) {
	const invalid = "invalid"
	for _, test := range []struct {
		values []string
		want   string
	}{
		{nil, ""},
		{[]string{"*"}, ""},
		{[]string{`"7e654d"`}, "7e654d"},
		{[]string{`"a"`, "nonsense"}, "a"}, // the first one counts
		{[]string{""}, invalid},
		{[]string{"abc"}, invalid},
		{[]string{`W/"abc"`}, invalid},
		{[]string{`"a b"`}, invalid},
		{[]string{`"a", "b"`}, invalid},
		{[]string{`""`}, invalid},
		{[]string{`"` + strings.Repeat("a", 33) + `"`}, invalid},
	} {
		r := httptest.NewRequest(http.MethodPut, "/", nil)
		r.Header["If-Match"] = test.values
		in := From(r)
		got := in.IfMatch()
		if faults := describe(t, in.Err()); faults != nil {
			got = invalid
			if faults[0] != "header If-Match" {
				t.Errorf("%q: %q", test.values, faults)
			}
		}
		if got != test.want {
			t.Errorf("%q: %q, not %q", test.values, got, test.want)
		}
	}
}

func TestFaultsAreNotWithoutEnd(t *testing.T) {
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, `"%d": 1, `, i)
	}
	faults, _ := faultsOf(t, "{"+text.String()+`"quantity": 0}`)
	if len(faults) != maxFaults || faults[0] != "body quantity" || faults[1] != "body 0" {
		t.Errorf("%d faults, first %q", len(faults), faults[:2])
	}
}

func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e3,"\ud83d\ude00"],"quantity":{}}`, `[]`, `{"\ud800":1`, ` {"\\":"\"9"} `,
	} {
		f.Add([]byte(seed))
	}
	check := Object(Member{"quantity", Array(1, 3, Integer(new(int), 1, 99))})
	f.Fuzz(func(t *testing.T, data []byte) {
		err := take(jsonType, bytes.NewReader(data), check)
		var refused *problem.Problem
		if err != nil && !errors.As(err, &refused) {
			t.Error(err)
		}
		var document any
		malformed := refused != nil && refused.Kind == problem.MalformedJSON
		data = bytes.TrimPrefix(data, byteOrderMark)
		if json.Unmarshal(data, &document) != nil && len(data) > 0 && !malformed {
			t.Errorf("taken for JSON: %q", data)
		}
	})
}
