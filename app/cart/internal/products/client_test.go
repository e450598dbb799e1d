package products

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestFind(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Path + " " + r.URL.Query().Get("ids"); got != "/internal/v1/products 7,9,8" {
			t.Errorf("asked for %s", got)
		}
		_, _ = io.WriteString(w, `{"items":[{"id":7,"sku":"A-7","name":"Seven","description":"",
			"category":"A","price":{"amount":4294967296,"currency":"EUR"},"stock":3}]}`)
	}))
	defer server.Close()
	client := NewClient(server.URL, time.Minute, http.DefaultTransport)
	found, err := client.Find(context.Background(), []int{7, 9, 8})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Product{7, "Seven", Money{1 << 32, "EUR"}}); len(found) != 1 || found[7] != want {
		t.Errorf("found %v", found)
	}
}

func TestAnAnswerThatIsNoJSON(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<html>")
	}))
	defer server.Close()
	client := NewClient(server.URL, time.Minute, http.DefaultTransport)
	if _, err := client.Find(context.Background(), []int{1}); err == nil {
		t.Error("no error")
	}
}
