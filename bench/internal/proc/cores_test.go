package proc

import (
	"context"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

func TestCoreLists(t *testing.T) {
	for list, want := range map[string][]int{
		"0":         {0},
		"0-3":       {0, 1, 2, 3},
		"0-1,4,6-8": {0, 1, 4, 6, 7, 8},
	} {
		got, err := parseCores(list)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", list, got, err)
		}
		if back := CoreList(want); back != list {
			t.Errorf("%v: %s, want %s", want, back, list)
		}
	}
	for _, list := range []string{"", "a", "3-1", "1-"} {
		if got, err := parseCores(list); err == nil {
			t.Errorf("%q: %v", list, got)
		}
	}
}

func TestBind(t *testing.T) {
	all, err := Cores()
	if err != nil || len(all) == 0 {
		t.Fatalf("%v, %v", all, err)
	}
	t.Cleanup(func() {
		if err := Bind(context.Background(), all); err != nil {
			t.Error(err)
		}
		if n := runtime.GOMAXPROCS(0); n > len(all) {
			t.Errorf("Go uses %d of %d cores", n, len(all))
		}
	})
	last := all[len(all)-1:]
	if err := Bind(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if got, err := Cores(); err != nil || !reflect.DeepEqual(got, last) {
		t.Errorf("bound to %v, want %v, %v", got, last, err)
	}
	if n := runtime.GOMAXPROCS(0); n != 1 {
		t.Errorf("Go uses %d cores", n)
	}
	// A server may have more cores than this process has.
	command := On(all, []string{"sh", "-c", "grep Cpus_allowed_list /proc/self/status"})
	out, err := exec.Command(command[0], command[1:]...).Output()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "\t"+CoreList(all)) {
		t.Errorf("%q, %v", out, err)
	}
}
