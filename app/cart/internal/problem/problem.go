// Package problem is the one shape of every error that leaves the service: problem details
// (RFC 9457), as the contract has them.
package problem

import (
	"net/http"
	"strings"

	"triptych/cart/internal/requestid"
	"triptych/cart/internal/respond"
)

const mediaType = "application/problem+json"

// Kind is a kind of problem, with the stable last part of its type URI.
type Kind struct {
	Slug   string
	Title  string
	Status int
}

// Every kind that this service answers.
var (
	MalformedJSON          = Kind{"malformed-json", "The body is not valid JSON", 400}
	AuthenticationRequired = Kind{"authentication-required", "A valid access token is required", 401}
	NotFound               = Kind{"not-found", "There is nothing at this path", 404}
	ProductNotFound        = Kind{"product-not-found", "There is no such product", 404}
	MethodNotAllowed       = Kind{"method-not-allowed", "The method is not allowed here", 405}
	CartFull               = Kind{"cart-full", "The cart holds as many different products as it can", 409}
	CartChanged            = Kind{"cart-changed", "The cart has changed since it was read", 412}
	BodyTooLarge           = Kind{"body-too-large", "The body is too large", 413}
	UnsupportedMediaType   = Kind{"unsupported-media-type", "The body has to be JSON", 415}
	Validation             = Kind{"validation", "The request does not fit the contract", 422}
	Internal               = Kind{"internal", "Something went wrong on our side", 500}
	DependencyUnavailable  = Kind{"dependency-unavailable", "A part of the shop is unavailable", 503}
	NotReady               = Kind{"not-ready", "The service is not ready", 503}
)

// FieldError is one fault of a request: where it is, in which field, and what it is.
type FieldError struct {
	In      string `json:"in"` // body, path or header
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Problem is an error that the client gets to see.
type Problem struct {
	Kind       Kind
	Detail     string
	Errors     []FieldError
	Dependency string            // with DependencyUnavailable: which part is away
	Checks     map[string]string // with NotReady: state of each dependency
	Headers    map[string]string
}

func (p *Problem) Error() string { return p.Detail }

// New returns a problem that has nothing but a detail.
func New(kind Kind, detail string) *Problem {
	return &Problem{Kind: kind, Detail: detail}
}

// Invalid returns the 422 problem with the faults found.
func Invalid(faults []FieldError) *Problem {
	return &Problem{
		Kind:   Validation,
		Detail: "One or more values do not fit the contract.",
		Errors: faults,
	}
}

// Unavailable returns the 503 problem for a part that does not answer; the client may try again
// in a second.
func Unavailable(dependency string) *Problem {
	return &Problem{
		Kind:       DependencyUnavailable,
		Detail:     "The " + dependency + " does not answer at present; try again shortly.",
		Dependency: dependency,
		Headers:    map[string]string{"Retry-After": "1"},
	}
}

// Write answers r with the problem.
func Write(w http.ResponseWriter, r *http.Request, p *Problem) {
	document := struct {
		Type       string            `json:"type"`
		Title      string            `json:"title"`
		Status     int               `json:"status"`
		Detail     string            `json:"detail"`
		Instance   string            `json:"instance"`
		RequestID  string            `json:"request_id"`
		Errors     []FieldError      `json:"errors,omitempty"`
		Dependency string            `json:"dependency,omitempty"`
		Checks     map[string]string `json:"checks,omitempty"`
	}{
		"urn:triptych:problem:" + p.Kind.Slug, p.Kind.Title, p.Kind.Status, p.Detail,
		instance(r), requestid.FromContext(r.Context()), p.Errors, p.Dependency, p.Checks,
	}
	for name, value := range p.Headers {
		w.Header().Set(name, value)
	}
	respond.JSON(w, p.Kind.Status, mediaType, document)
}

// instance returns the request's path as the client wrote it.
func instance(r *http.Request) string {
	if path, _, _ := strings.Cut(r.RequestURI, "?"); strings.HasPrefix(path, "/") {
		return path
	}
	return r.URL.EscapedPath()
}
