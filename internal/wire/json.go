package wire

import (
	"encoding/json"
	"strings"
)

// EncodeJSON encodes a value as encoding/json does, but leaves <, > and & as they are.
func EncodeJSON(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
