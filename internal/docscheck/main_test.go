// Package docscheck has the checks of what no compiler looks at: that pages are true, that both languages say the same, and that
// imports follow the layers.
package docscheck

import (
	"fmt"
	"os"
	"testing"
)

// TestMain runs the tests in the root of the module.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// atRoot is called before files are read. The go command takes the files that a test opens into the key of a cached result, and finds
// them from the directory that it has last seen the test change to. It sees nothing before Run, so without this an edited page was
// reported as "ok (cached)".
func atRoot(t *testing.T) {
	t.Helper()
	if err := os.Chdir("."); err != nil {
		t.Fatal(err)
	}
}
