package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

const deployment = "docs/deployment.md"

// startNginx runs nginx with what a page shows, in front of a server, and returns the address at which it ends TLS.
func startNginx(t *testing.T, shown, upstream string) (addr string) {
	t.Helper()
	nginx, dir := tool(t, "nginx", "nginx"), t.TempDir()
	cert, key := certificate(t, dir)
	addr = fixedAddr(t)
	shown = adapt(t, shown,
		"listen 443 ssl;", "listen "+addr+" ssl;",
		"/etc/ssl/certs/example.com.pem", cert,
		"/etc/ssl/private/example.com.key", key,
		"http://127.0.0.1:8080", strings.TrimSuffix(upstream, "/"))
	config := fmt.Sprintf("daemon off;\nmaster_process off;\npid %[1]s/pid;\nevents { worker_connections 4096; }\nhttp {\naccess_log off;\n", dir)
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		config += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	file := write(t, dir, "nginx.conf", config+shown+"}\n")
	args := []string{"-e", "stderr", "-p", dir, "-c", file}
	if said := run(t, exec.Command(nginx, append(args, "-t")...)); strings.Contains(said, "[warn]") {
		t.Errorf("nginx warns about what the page shows:\n%s", said)
	}
	background(t, exec.Command(nginx, args...), addr)
	return strings.Replace(addr, "127.0.0.1", "localhost", 1)
}

// startCaddy does the same with Caddy. It gives itself a certificate instead of asking an authority for one.
func startCaddy(t *testing.T, shown, upstream string) (addr string) {
	t.Helper()
	caddy, dir := tool(t, "caddy", "caddy"), t.TempDir()
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(caddy, args...)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		return cmd
	}
	run(t, command("validate", "--adapter", "caddyfile", "--config", write(t, dir, "shown", shown)))
	addr = fixedAddr(t)
	here := strings.Replace(addr, "127.0.0.1", "localhost", 1)
	shown = adapt(t, shown,
		"example.com {", here+" {\n\ttls internal",
		"127.0.0.1:8080", strings.TrimSuffix(strings.TrimPrefix(upstream, "http://"), "/"))
	global := "{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n}\n"
	background(t, command("run", "--adapter", "caddyfile", "--config", write(t, dir, "Caddyfile", global+shown)), addr)
	return here
}

// Behind each proxy that pages show, pages talk to each other, and those of other sites are kept out.
func TestChatBehindProxies(t *testing.T) {
	t.Parallel()
	for name, proxy := range map[string]struct {
		start          func(t *testing.T, shown, upstream string) string
		page, language string
		word           string // which only that block has
		path           string
	}{
		"nginx":               {startNginx, deployment, "nginx", "proxy_pass", "/"},
		"nginx, under a path": {startNginx, "examples/chat/README.md", "nginx", "proxy_pass", "/chat/"},
		"caddy":               {startCaddy, deployment, "caddyfile", "reverse_proxy", "/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "chat", "127.0.0.1:0")
			addr := proxy.start(t, block(t, proxy.page, proxy.language, proxy.word), s.url)
			proxied := *s
			proxied.url = "https://" + addr + proxy.path
			ada, bo := openChat(t, &proxied, "Ada", look{}), openChat(t, s, "Bo", look{})
			ada.write("composer", "through the proxy")
			bo.waitMessage("Ada", "through the proxy")
			bo.write("composer", "and back")
			ada.waitMessage("Bo", "and back")

			socket := "wss://" + addr + proxy.path + "ws?user_id=Eve"
			for origin, want := range map[string]int{
				"https://" + addr:      http.StatusSwitchingProtocols,
				"http://" + addr:       http.StatusForbidden, // so the proxy says that it is https
				"https://evil.example": http.StatusForbidden,
			} {
				if _, resp := dial(t, socket, origin); resp.StatusCode != want {
					t.Errorf("a page from %s is answered with %s, want %d", origin, resp.Status, want)
				}
			}
		})
	}
}

// The limit that the page shows is one for each address.
func TestNginxBoundsConnectionsOfOneAddress(t *testing.T) {
	t.Parallel()
	s := start(t, "single", "127.0.0.1:0")
	addr := startNginx(t, adapt(t, block(t, deployment, "nginx", "proxy_pass"), "limit_conn sockets 100;", "limit_conn sockets 3;"), s.url)
	for i := range 5 {
		_, resp := dial(t, "wss://"+addr+"/ws", "https://"+addr)
		if welcome := resp.StatusCode == http.StatusSwitchingProtocols; welcome != (i < 3) {
			t.Errorf("connection %d is answered with %s", i+1, resp.Status)
		}
	}
}

// A silent connection outlives the proxy's timeout if, and only if, the ping interval is shorter.
func TestHeartbeatOutlivesTheProxysTimeout(t *testing.T) {
	t.Parallel()
	const timeout = 3 * time.Second // instead of 60 s
	shown := adapt(t, block(t, deployment, "nginx", "proxy_pass"), "proxy_read_timeout 60s;", fmt.Sprintf("proxy_read_timeout %.0fs;", timeout.Seconds()))
	for interval, survives := range map[time.Duration]bool{timeout / 4: true, 10 * timeout: false} {
		t.Run(interval.String(), func(t *testing.T) {
			t.Parallel()
			tkws := tank.NewInstance(tank.WithHeartbeat(interval, patience))
			go tkws.Start()
			upstream := httptest.NewServer(tkws)
			t.Cleanup(func() {
				upstream.Close()
				tkws.Shutdown(context.Background()) // nobody is left whom it could wait for
			})
			addr := startNginx(t, shown, upstream.URL)
			conn, _ := dial(t, "wss://"+addr+"/ws", "https://"+addr)
			ended := make(chan error, 1)
			go func() {
				_, err := read(t, conn)
				ended <- err
			}()
			select {
			case err := <-ended:
				if survives {
					t.Errorf("pinged every %v, the connection has ended: %v", interval, err)
				}
			case <-time.After(2 * timeout):
				if !survives {
					t.Errorf("pinged every %v, the connection is still there", interval)
				}
			}
		})
	}
}

// proxiedFiles are what the tests above read: a page that shows another proxy's configuration needs a test of its own.
var proxiedFiles = []string{deployment, "examples/chat/README.md"}

func TestEveryProxyConfigurationIsTested(t *testing.T) {
	found := 0
	for _, language := range []string{"nginx", "caddyfile"} {
		for _, page := range proxiedFiles {
			found += len(blocks(t, page, language))
		}
	}
	all := 0
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" && !strings.HasSuffix(path, ".zh-CN.md") {
			page := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
			all += len(blocks(t, page, "nginx")) + len(blocks(t, page, "caddyfile"))
		}
		return err
	})
	if err != nil || all != found || found == 0 {
		t.Errorf("%d configurations of proxies are tested, of %d (%v)", found, all, err)
	}
}
