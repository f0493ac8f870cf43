package inspector

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// problem is why a request was not answered with what it asked for.
type problem struct {
	status    int
	Code      string `json:"code"`
	Message   string `json:"message"`
	Parameter string `json:"parameter,omitempty"`
}

func (p *problem) Error() string { return p.Message }

func badParameter(name, format string, args ...any) error {
	return &problem{http.StatusBadRequest, "bad_parameter", fmt.Sprintf(format, args...), name}
}

func notFound(format string, args ...any) error {
	return &problem{http.StatusNotFound, "not_found", fmt.Sprintf(format, args...), ""}
}

// asProblem says what an error is; one that is no problem means that whoever asked has gone.
func asProblem(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	return &problem{http.StatusServiceUnavailable, "unavailable", err.Error(), ""}
}

const maxQuoted = 64 // bytes

// quote shows what somebody sent: quoted, and shortened.
func quote(s string) string {
	if len(s) <= maxQuoted {
		return strconv.QuoteToASCII(s)
	}
	return strconv.QuoteToASCII(strings.ToValidUTF8(s[:maxQuoted], "")) + "..."
}

// parameters returns those of a request, each of which has to be among the known ones.
func parameters(r *http.Request, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badParameter("", "the query %s is malformed", quote(r.URL.RawQuery))
	}
	for name, all := range values {
		switch {
		case !slices.Contains(known, name):
			return nil, badParameter(quote(name), "there is no parameter %s; there are %s", quote(name), strings.Join(known, ", "))
		case len(all) > 1:
			return nil, badParameter(name, "parameter %s is there %d times", name, len(all))
		}
	}
	return values, nil
}

const (
	defaultSize = 50
	maxSize     = 500
	maxPage     = 1 << 30
)

// window is which part of a table is asked for, and in what order.
type window struct {
	key        string // of the order, one of those the table has
	descending bool
	page, size int // pages count from 1
}

// sort returns the order as a parameter.
func (w window) sort() string {
	if w.descending {
		return "-" + w.key
	}
	return w.key
}

// parseWindow takes the window of a table with these keys from parameters. order is the default.
func parseWindow[R any](values url.Values, order string, keys map[string]compare[R]) (window, error) {
	w := window{}
	order = cmp.Or(values.Get("sort"), order)
	w.key, w.descending = strings.CutPrefix(order, "-")
	if keys[w.key] == nil {
		return w, badParameter("sort", "cannot sort by %s; sort is one of %s, with or without - before it",
			quote(order), strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
	}
	var err error
	if w.page, err = number(values, "page", 1, maxPage); err != nil {
		return w, err
	}
	w.size, err = number(values, "size", defaultSize, maxSize)
	return w, err
}

// number returns a parameter from 1 to most.
func number(values url.Values, name string, unset, most int) (int, error) {
	text := values.Get(name)
	if text == "" {
		return unset, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, badParameter(name, "%s is %s, want a number from 1 to %d", name, quote(text), most)
	}
	return n, nil
}
