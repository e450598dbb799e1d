// Package input reads what clients send and says what is wrong with it, in the terms of the
// contract: where, in which field, what. It is strict: no unknown members, no coercion of types.
package input

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"triptych/cart/internal/problem"
)

// MaxBodyBytes is the size of the largest body that is read.
const MaxBodyBytes = 64 * 1024

// maxFaults is how many are named: enough for any mistake, and an answer of bounded size for what
// is none.
const maxFaults = 100

// MaxID is the largest id of a product.
const MaxID = 1<<31 - 1

const (
	required       = "Field required"
	extra          = "Extra inputs are not permitted"
	notAnObject    = "Input should be a valid dictionary or object to extract fields from"
	notAnArray     = "Input should be a valid list"
	notAnInteger   = "Input should be a valid integer"
	notUnicode     = "Input should be a valid string, unable to parse raw data as a unicode string"
	notPlainDigits = "Input should be a whole number in plain digits"
	notUUID        = "Input should be a valid UUID"
)

// TooLarge returns the 413 problem.
func TooLarge() *problem.Problem {
	return problem.New(problem.BodyTooLarge,
		fmt.Sprintf("A body has to be at most %d bytes long.", MaxBodyBytes))
}

// Reader collects the faults of one request, in the order in which its parts are asked for.
type Reader struct {
	r      *http.Request
	faults []problem.FieldError
}

// From returns a reader of the request's parameters and body.
func From(r *http.Request) *Reader { return &Reader{r: r} }

// Err returns the 422 problem with all faults found so far; nil if there is none.
func (in *Reader) Err() error {
	if len(in.faults) == 0 {
		return nil
	}
	return problem.Invalid(in.faults)
}

func (in *Reader) fault(where, field, message string) {
	if len(in.faults) == maxFaults {
		return
	}
	in.faults = append(in.faults, problem.FieldError{In: where, Field: field, Message: message})
}

// ProductID reads a product's id from the path.
func (in *Reader) ProductID(name string) int {
	raw := in.r.PathValue(name)
	if !plainDigits(raw) {
		in.fault("path", name, notPlainDigits)
		return 0
	}
	id, _ := strconv.ParseInt(raw, 10, 64)
	if message := outside(id, 1, MaxID); message != "" {
		in.fault("path", name, message)
	}
	return int(id)
}

// plainDigits says whether the text is up to ten ASCII digits.
func plainDigits(text string) bool {
	if text == "" || len(text) > 10 {
		return false
	}
	return strings.Trim(text, "0123456789") == ""
}

// UUID reads a UUID from the path.
func (in *Reader) UUID(name string) uuid.UUID {
	raw := in.r.PathValue(name)
	id, err := uuid.Parse(raw)
	if err != nil || len(raw) != 36 {
		in.fault("path", name, notUUID)
	}
	return id
}

var entityTag = regexp.MustCompile(`^("[A-Za-z0-9]{1,32}"|\*)$`)

// IfMatch reads the version that a change insists on; empty if it takes any.
func (in *Reader) IfMatch() string {
	const name = "If-Match"
	values := in.r.Header.Values(name)
	switch {
	case len(values) == 0:
		return ""
	case !entityTag.MatchString(values[0]):
		in.fault("header", name, "String should match pattern '"+entityTag.String()+"'")
		return ""
	case values[0] == "*":
		return ""
	}
	return strings.Trim(values[0], `"`)
}

// Check looks at one value of the body, which is valid JSON without space around it: it notes its
// faults, or keeps it where it belongs.
type Check func(in *Reader, value json.RawMessage, field string)

var byteOrderMark = []byte("\ufeff")

// parsing bounds how many bodies are taken apart at once, and so the memory that it takes.
var parsing = make(chan struct{}, 4)

// Body reads the body and checks it. Its error is the 415, 413 or 400 problem, which goes before
// all faults.
func (in *Reader) Body(w http.ResponseWriter, check Check) error {
	if !declaredJSON(in.r.Header.Get("Content-Type")) {
		return problem.New(problem.UnsupportedMediaType,
			"Send the body with Content-Type: application/json.")
	}
	var body bytes.Buffer
	if declared := in.r.ContentLength; 0 < declared && declared <= MaxBodyBytes {
		body.Grow(int(declared) + bytes.MinRead)
	}
	_, err := body.ReadFrom(http.MaxBytesReader(w, in.r.Body, MaxBodyBytes))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return TooLarge()
	}
	parsing <- struct{}{}
	defer func() { <-parsing }()
	document := bytes.TrimPrefix(body.Bytes(), byteOrderMark)
	switch {
	case err == nil && body.Len() == 0:
		in.fault("body", "", required)
	case err != nil || !isJSON(document):
		return problem.New(problem.MalformedJSON, "The body cannot be parsed as JSON.")
	default:
		check(in, bytes.TrimSpace(document), "")
	}
	return nil
}

// declaredJSON says whether a Content-Type stands for JSON in UTF-8.
func declaredJSON(contentType string) bool {
	mediaType, parameters, _ := strings.Cut(contentType, ";")
	charset := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(parameters)), `"`, "")
	return strings.ToLower(strings.TrimSpace(mediaType)) == "application/json" &&
		(charset == "" || charset == "charset=utf-8")
}

// Member is a required member of an object.
type Member struct {
	Name  string
	Check Check
}

// Object is a check for an object of exactly these members.
func Object(members ...Member) Check {
	known := make(map[string]bool, len(members))
	for _, member := range members {
		known[member.Name] = true
	}
	return func(in *Reader, value json.RawMessage, field string) {
		if value[0] != '{' {
			in.fault("body", field, notAnObject)
			return
		}
		found := readObject(value, known)
		if found.loneSurrogate {
			in.fault("body", field, notUnicode)
			return
		}
		for _, member := range members {
			if value, ok := found.members[member.Name]; ok {
				member.Check(in, value, joined(field, member.Name))
			} else {
				in.fault("body", joined(field, member.Name), required)
			}
		}
		for _, name := range found.others {
			in.fault("body", joined(field, name), extra)
		}
	}
}

// Array is a check for an array of lowest to highest elements; element is called for each.
func Array(lowest, highest int, element Check) Check {
	return func(in *Reader, value json.RawMessage, field string) {
		if value[0] != '[' {
			in.fault("body", field, notAnArray)
			return
		}
		values := readArray(value, highest+1)
		if len(values) < lowest || len(values) > highest {
			in.fault("body", field, fmt.Sprintf("List should have %d to %d items", lowest, highest))
			return
		}
		for i, value := range values {
			element(in, value, joined(field, strconv.Itoa(i)))
		}
	}
}

// Integer is a check for an integer from lowest to highest, which it stores.
func Integer(into *int, lowest, highest int64) Check {
	return func(in *Reader, value json.RawMessage, field string) {
		if !(value[0] == '-' || isDigit(value[0])) || !isInteger(value) {
			in.fault("body", field, notAnInteger)
			return
		}
		// One that is too large for 64 bits comes back as the largest that fits.
		n, _ := strconv.ParseInt(string(value), 10, 64)
		if message := outside(n, lowest, highest); message != "" {
			in.fault("body", field, message)
			return
		}
		*into = int(n)
	}
}

func outside(n, lowest, highest int64) string {
	switch {
	case n < lowest:
		return fmt.Sprintf("Input should be greater than or equal to %d", lowest)
	case n > highest:
		return fmt.Sprintf("Input should be less than or equal to %d", highest)
	}
	return ""
}

// joined returns the name of a member of a member.
func joined(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}
