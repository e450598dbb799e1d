// Package api is the service's operations over HTTP: the contract's, and those for other services.
package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"triptych/cart/internal/cart"
	"triptych/cart/internal/dependency"
	"triptych/cart/internal/input"
	"triptych/cart/internal/problem"
	"triptych/cart/internal/respond"
	"triptych/cart/internal/web"
)

// API answers requests.
type API struct {
	Store  *cart.Store
	Carts  *cart.Service
	Tokens interface {
		Verify(ctx context.Context, token string) (uuid.UUID, error)
	}
	Keys    interface{ Fetched() bool }
	Startup interface{ Missing() string }
	Metrics http.Handler
	Log     *slog.Logger
}

// Routes returns the router of all operations.
func (a *API) Routes() *web.Router {
	router := web.NewRouter()
	router.Route("/health/live", map[string]http.Handler{
		http.MethodGet: a.handler(a.live),
	})
	router.Route("/health/ready", map[string]http.Handler{
		http.MethodGet: a.handler(a.ready),
	})
	router.Route("/metrics", map[string]http.Handler{
		http.MethodGet: a.Metrics,
	})
	router.Route("/api/v1/cart", map[string]http.Handler{
		http.MethodGet:    a.forUser(a.getCart),
		http.MethodDelete: a.forUser(a.clearCart),
	})
	router.Route("/api/v1/cart/items/{product_id}", map[string]http.Handler{
		http.MethodPut:    a.forUser(a.putItem),
		http.MethodDelete: a.forUser(a.deleteItem),
	})
	router.Route("/internal/v1/carts/{user_id}", map[string]http.Handler{
		http.MethodGet: a.started(a.readCart),
	})
	router.Route("/internal/v1/carts/{user_id}/purchases/{order_id}", map[string]http.Handler{
		http.MethodPut: a.started(a.putPurchase),
	})
	return router
}

type (
	operation     func(w http.ResponseWriter, r *http.Request) error
	userOperation func(w http.ResponseWriter, r *http.Request, user uuid.UUID) error
)

// handler answers with the problem that an operation's error stands for.
func (a *API) handler(serve operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			problem.Write(w, r, a.problemOf(r.Context(), err))
		}
	})
}

// started is for operations that have to wait for the end of start-up.
func (a *API) started(serve operation) http.Handler {
	return a.handler(func(w http.ResponseWriter, r *http.Request) error {
		if missing := a.Startup.Missing(); missing != "" {
			return problem.Unavailable(missing)
		}
		return serve(w, r)
	})
}

// forUser checks the access token before anything else of the request is looked at.
func (a *API) forUser(serve userOperation) http.Handler {
	return a.started(func(w http.ResponseWriter, r *http.Request) error {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || token == "" {
			return authenticationRequired("No bearer token was sent.", "")
		}
		user, err := a.Tokens.Verify(r.Context(), strings.TrimSpace(token))
		if err != nil {
			a.Log.DebugContext(r.Context(), "token refused", "reason", err.Error())
			return authenticationRequired("The access token is not valid.", "invalid_token")
		}
		return serve(w, r, user)
	})
}

func authenticationRequired(detail, code string) *problem.Problem {
	challenge := `Bearer realm="triptych"`
	if code != "" {
		challenge += fmt.Sprintf(`, error="%s"`, code)
	}
	refusal := problem.New(problem.AuthenticationRequired, detail)
	refusal.Headers = map[string]string{"WWW-Authenticate": challenge}
	return refusal
}

// problemOf returns what the client gets to see of an error; the log gets the rest.
func (a *API) problemOf(ctx context.Context, err error) *problem.Problem {
	var (
		known *problem.Problem
		away  *dependency.Unavailable
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &away):
		a.Log.WarnContext(ctx, "the "+away.Name+" does not answer", "reason", away.Err.Error())
		return problem.Unavailable(away.Name)
	case errors.Is(err, cart.ErrChanged):
		return problem.New(problem.CartChanged,
			"Read the cart again; its ETag is no longer this one.")
	case errors.Is(err, cart.ErrFull):
		return problem.New(problem.CartFull,
			fmt.Sprintf("A cart holds at most %d different products.", cart.MaxLines))
	default:
		a.Log.ErrorContext(ctx, "request failed", "exception", err.Error())
		return problem.New(problem.Internal, "The request could not be completed.")
	}
}

func (a *API) getCart(w http.ResponseWriter, r *http.Request, user uuid.UUID) error {
	priced, err := a.Carts.Get(r.Context(), user)
	if err != nil {
		return err
	}
	return writeCart(w, priced)
}

func (a *API) putItem(w http.ResponseWriter, r *http.Request, user uuid.UUID) error {
	var line cart.Line
	in := input.From(r)
	line.ProductID = in.ProductID("product_id")
	expected := in.IfMatch()
	err := in.Body(w, input.Object(
		input.Member{Name: "quantity", Check: input.Integer(&line.Quantity, 1, cart.MaxQuantity)},
	))
	if err := cmp.Or(err, in.Err()); err != nil {
		return err
	}
	priced, err := a.Carts.Put(r.Context(), user, line, expected)
	if errors.Is(err, cart.ErrNoProduct) {
		return problem.New(problem.ProductNotFound,
			fmt.Sprintf("There is no product %d.", line.ProductID))
	}
	if err != nil {
		return err
	}
	return writeCart(w, priced)
}

func (a *API) deleteItem(w http.ResponseWriter, r *http.Request, user uuid.UUID) error {
	in := input.From(r)
	productID := in.ProductID("product_id")
	expected := in.IfMatch()
	if err := in.Err(); err != nil {
		return err
	}
	return done(w, a.Store.Remove(r.Context(), user, productID, expected))
}

func (a *API) clearCart(w http.ResponseWriter, r *http.Request, user uuid.UUID) error {
	in := input.From(r)
	expected := in.IfMatch()
	if err := in.Err(); err != nil {
		return err
	}
	return done(w, a.Store.Clear(r.Context(), user, expected))
}

func (a *API) readCart(w http.ResponseWriter, r *http.Request) error {
	in := input.From(r)
	user := in.UUID("user_id")
	if err := in.Err(); err != nil {
		return err
	}
	stored, err := a.Store.Read(r.Context(), user)
	if err != nil {
		return err
	}
	return writeJSON(w, stored)
}

func (a *API) putPurchase(w http.ResponseWriter, r *http.Request) error {
	in := input.From(r)
	user, order := in.UUID("user_id"), in.UUID("order_id")
	var bought []cart.Line
	err := in.Body(w, input.Object(
		input.Member{Name: "lines", Check: input.Array(1, cart.MaxLines,
			func(in *input.Reader, value json.RawMessage, field string) {
				var line cart.Line
				input.Object(
					input.Member{Name: "product_id", Check: input.Integer(&line.ProductID, 1, input.MaxID)},
					input.Member{Name: "quantity", Check: input.Integer(&line.Quantity, 1, cart.MaxQuantity)},
				)(in, value, field)
				bought = append(bought, line)
			})},
	))
	if err := cmp.Or(err, in.Err()); err != nil {
		return err
	}
	return done(w, a.Store.Subtract(r.Context(), user, order, bought))
}

func writeCart(w http.ResponseWriter, priced cart.Priced) error {
	w.Header().Set("ETag", `"`+priced.Version+`"`)
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, priced)
}

func writeJSON(w http.ResponseWriter, document any) error {
	respond.JSON(w, http.StatusOK, "application/json", document)
	return nil
}

// done answers 204 unless there was an error.
func done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
