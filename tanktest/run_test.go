package tanktest_test

import (
	"flag"
	"testing"
)

// run runs a test function inside an Example, as go test does with those whose names begin with Test.
func run(test func(*testing.T)) {
	for name, value := range map[string]string{"test.v": "false", "test.skip": ""} { // its output is the example's
		f := flag.Lookup(name)
		defer f.Value.Set(f.Value.String())
		f.Value.Set(value)
	}
	ran := false
	anything := func(_, _ string) (bool, error) { return true, nil }
	ok := testing.RunTests(anything, []testing.InternalTest{{Name: "Test", F: func(t *testing.T) {
		if !ran { // and once only, also with -count or -cpu
			ran = true
			test(t)
		}
	}}})
	if !ok || !ran {
		panic("the example's test has failed")
	}
}
