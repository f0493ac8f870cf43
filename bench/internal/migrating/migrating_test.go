package migrating

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const patience = time.Minute

// page is the one that shows programs before and after; no other may have code of other libraries.
const page = "docs/migrating.md"

// TestProgramsBeforeAndAfterDoTheSame runs each pair of programs and has two clients talk to each other by way of it.
func TestProgramsBeforeAndAfterDoTheSame(t *testing.T) {
	shown := programs(t)
	for i, talk := range []struct {
		name          string
		before, after conversation
	}{
		{"gorilla", raw("/ws"), raw("/ws")},
		{"melody", raw("/ws?room=tea"), conversation{
			path: "/ws", enter: "sub:tea", say: `{"topic":"tea","data":"%s"}`, hear: `{"topic":"tea","data":"%s"}`,
		}},
	} {
		if len(shown) <= i {
			t.Fatalf("%s shows %d pairs of programs", page, len(shown))
		}
		t.Run(talk.name+" before", func(t *testing.T) { talk.before.hold(t, shown[i].before) })
		t.Run(talk.name+" after", func(t *testing.T) { talk.after.hold(t, shown[i].after) })
	}
	if len(shown) != 2 {
		t.Errorf("%s shows %d pairs of programs, and 2 are tested", page, len(shown))
	}
}

type pair struct{ before, after string }

// programs returns the programs of the page: each of another library with the next one of tank.
func programs(t *testing.T) []pair {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(page)))
	if err != nil {
		t.Fatal(err)
	}
	var list []pair
	var before string
	for i, part := range strings.Split("\n"+string(text), "\n```") {
		switch info, code, _ := strings.Cut(part, "\n"); {
		case i%2 == 0:
		case info == "go bench":
			before = code + "\n"
		case info == "go":
			list = append(list, pair{before, code + "\n"})
			before = ""
		}
	}
	if slices.ContainsFunc(list, func(p pair) bool { return p.before == "" }) || before != "" {
		t.Fatalf("%s does not show programs in pairs", page)
	}
	return list
}

const root = "../../.."

// conversation is what a client sends and receives. say and hear have a verb for the words.
type conversation struct {
	path      string
	enter     string // sent before all else; empty: nothing
	say, hear string
}

func raw(path string) conversation { return conversation{path: path, say: "%s", hear: "%s"} }

// hold vets and runs a program. Whoever is connected has to hear what anybody says. A client that has heard itself is known to
// the program, whatever a handshake's answer says about that.
func (c conversation) hold(t *testing.T, program string) {
	addr := run(t, program)
	ann := c.connect(t, addr)
	c.exchange(t, "is anybody there?", ann)
	bob := c.connect(t, addr)
	c.exchange(t, "yes", bob, ann)
	c.exchange(t, "hello", ann, bob)
}

// exchange has one client say something, and it and the others hear it.
func (c conversation) exchange(t *testing.T, words string, speaker *websocket.Conn, others ...*websocket.Conn) {
	t.Helper()
	if err := speaker.Write(t.Context(), websocket.MessageText, fmt.Appendf(nil, c.say, words)); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(c.hear, words)
	for _, conn := range append(others, speaker) {
		if got := read(t, conn); got != want {
			t.Fatalf("heard %q, want %q", got, want)
		}
	}
}

// connect dials until the program listens.
func (c conversation) connect(t *testing.T, addr string) *websocket.Conn {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) { // between two attempts
		conn, _, err := websocket.Dial(t.Context(), "ws://"+addr+c.path, nil)
		if err != nil {
			if time.Since(began) > patience {
				t.Fatal(err)
			}
			continue
		}
		t.Cleanup(func() { conn.CloseNow() })
		if c.enter != "" {
			if err := conn.Write(t.Context(), websocket.MessageText, []byte(c.enter)); err != nil {
				t.Fatal(err)
			}
		}
		return conn
	}
}

func read(t *testing.T, conn *websocket.Conn) string {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, data, err := conn.Read(ctx)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// run vets a program, builds it in this module, and starts it at an address that is free.
func run(t *testing.T, program string) (addr string) {
	t.Helper()
	const shown = "localhost:8080"
	if strings.Count(program, shown) != 1 {
		t.Fatalf("the program does not listen at %s:\n%s", shown, program)
	}
	addr = freeAddr(t)
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(strings.Replace(program, shown, addr, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "program")
	for _, args := range [][]string{{"vet", file}, {"build", "-o", binary, file}} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s\n%s", args[0], err, out, program)
		}
	}
	cmd := exec.Command(binary)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return addr
}

// freeAddr is an address at which nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
