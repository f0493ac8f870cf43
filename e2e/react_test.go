package e2e

import (
	"errors"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// bundle bundles a file of testdata with the packages of clients/js. The client itself is the one that the server serves.
func bundle(t *testing.T, name string) string {
	t.Helper()
	needPackages(t)
	packages, err := filepath.Abs(clientFolder + "/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool(t, "node", "nodejs"), packages+"/esbuild/bin/esbuild", "testdata/"+name, "--bundle", "--format=esm",
		"--jsx=automatic", "--external:/tank.js", `--define:process.env.NODE_ENV="development"`) // StrictMode does nothing in production
	cmd.Env = append(os.Environ(), "NODE_PATH="+packages)
	return run(t, cmd)
}

// counts counts things by name.
type counts struct {
	mu sync.Mutex
	m  map[string]int
}

func (c *counts) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m[name]++
}

func (c *counts) now() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.m)
}

// TestStrictModeOpensOneSocket: React runs each effect twice. Whatever of the client an effect makes and its cleanup closes, one socket
// reaches the server, and each message is handled once.
func TestStrictModeOpensOneSocket(t *testing.T) {
	t.Parallel()
	script := bundle(t, "strict.jsx")
	sockets, subs := &counts{m: map[string]int{}}, &counts{m: map[string]int{}}
	m, s := serveTank(t,
		tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
			user := r.FormValue("user")
			if user == "" {
				return tank.Identity{}, errors.New("no user")
			}
			sockets.add(user)
			return tank.Identity{UserID: user}, nil
		}),
		tank.WithSubscribeAuthorizer(func(c *tank.Client, _ string) error {
			subs.add(c.UserID())
			return nil
		}))
	p := open(t, s, "strict", look{})
	p.forgive("Download the React DevTools")
	p.run(`const script = document.createElement("script");
		script.type = "module";
		script.textContent = ` + quote(script) + `;
		document.head.append(script);`)
	p.wait(`window.joined_?.size === 3`)
	if effects := eval[string](p, `JSON.stringify(effects_)`); effects != `{"own":2,"kept":2,"shared":2}` {
		t.Errorf("effects ran so often: %s", effects)
	}
	for n := range 3 {
		if err := m.PublishJSON(t.Context(), "stream", n); err != nil {
			t.Fatal(err)
		}
	}
	p.wait(`Object.values(got_).every((got) => got.at(-1) === 2)`)
	if got := eval[string](p, `JSON.stringify(got_)`); got != `{"own":[0,1,2],"kept":[0,1,2],"shared":[0,1,2]}` {
		t.Errorf("the components got %s", got)
	}
	want := map[string]int{"own": 1, "kept": 1, "shared": 1}
	if got := sockets.now(); !maps.Equal(got, want) {
		t.Errorf("the components opened %v sockets", got)
	}
	if got := subs.now(); !maps.Equal(got, want) {
		t.Errorf("the components subscribed so often: %v", got)
	}

	p.run(`unmount_()`)
	p.wait(`String(states_()) === "closed,open"`)
	for began := time.Now(); m.GetTopicSubscriberCount("stream") != 0 || len(m.GetAllClients()) != 1; time.Sleep(time.Millisecond) { // between two looks
		if time.Since(began) > patience {
			t.Fatalf("behind the components, there are %d subscribers and %d clients", m.GetTopicSubscriberCount("stream"), len(m.GetAllClients()))
		}
	}
}
