package input

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// maxDigits is the longest integer that is read, as in the other services; longer ones are no
// numbers that anybody can mean.
const maxDigits = 4300

// A document stays text, and only what a check asks for is taken out of it: built up, one of
// 64 KiB could take a hundred times as much memory.

// isJSON says whether the data is one JSON document. It is stricter than encoding/json: UTF-8
// only, and no integer of more than maxDigits digits.
func isJSON(data []byte) bool {
	// Valid also refuses what lies behind the document, and nesting of more than 10,000 levels.
	return utf8.Valid(data) && json.Valid(data) && !hasHugeInteger(data)
}

func hasHugeInteger(document []byte) bool {
	inString := false
	for i := 0; i < len(document); i++ {
		switch c := document[i]; {
		case inString && c == '\\':
			i++ // past the escaped character
		case c == '"':
			inString = !inString
		case !inString && isDigit(c):
			number := numberAt(document[i:])
			if len(number) > maxDigits && isInteger(number) {
				return true
			}
			i += len(number) - 1
		}
	}
	return false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// numberAt returns the number that the text begins with, which has no sign.
func numberAt(text []byte) []byte {
	rest := bytes.TrimLeft(text, "0123456789.eE+-")
	return text[:len(text)-len(rest)]
}

// isInteger says whether a number is written without fraction and exponent.
func isInteger(number []byte) bool { return !bytes.ContainsAny(number, ".eE") }

// object is what a check wants to know of a JSON object.
type object struct {
	members map[string]json.RawMessage // those that are known; the last one of a name counts
	others  []string                   // the first names of the rest, as many as are named
	// A name holds half of a surrogate pair, so it is no Unicode string.
	loneSurrogate bool
}

// readObject takes the members of the given names out of an object that is valid JSON.
func readObject(document []byte, known map[string]bool) object {
	found := object{members: map[string]json.RawMessage{}}
	seen := map[string]bool{}
	decoder := json.NewDecoder(bytes.NewReader(document))
	_, _ = decoder.Token() // the brace; there are no errors in valid JSON
	for decoder.More() {
		start := decoder.InputOffset()
		token, _ := decoder.Token()
		name, _ := token.(string)
		if hasLoneSurrogate(document[start:decoder.InputOffset()]) {
			found.loneSurrogate = true
		}
		var value json.RawMessage
		_ = decoder.Decode(&value)
		switch {
		case known[name]:
			found.members[name] = value
		case !seen[name] && len(seen) < maxFaults:
			seen[name] = true
			found.others = append(found.others, name)
		}
	}
	return found
}

// readArray returns the elements of an array that is valid JSON, but no more than most.
func readArray(document []byte, most int) []json.RawMessage {
	var found []json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader(document))
	_, _ = decoder.Token() // the bracket; there are no errors in valid JSON
	for decoder.More() && len(found) < most {
		var value json.RawMessage
		_ = decoder.Decode(&value)
		found = append(found, value)
	}
	return found
}

// hasLoneSurrogate looks for half of a surrogate pair in the source text of a valid JSON string.
// encoding/json reads it as U+FFFD and says nothing.
func hasLoneSurrogate(source []byte) bool {
	for i := 0; i < len(source); i++ {
		if source[i] != '\\' {
			continue
		}
		switch {
		case !isSurrogate(source[i:]):
			i++ // past the escaped character, which may be a backslash
		case source[i+3]|0x20 < 'c' && isSurrogate(source[i+6:]) && source[i+9]|0x20 >= 'c':
			i += 11 // a high half (D8 to DB) with its low half (DC to DF)
		default:
			return true
		}
	}
	return false
}

// isSurrogate says whether the text begins with an escape from \ud800 to \udfff.
func isSurrogate(source []byte) bool {
	return len(source) >= 6 && source[0] == '\\' && source[1] == 'u' &&
		source[2]|0x20 == 'd' && source[3] >= '8'
}
