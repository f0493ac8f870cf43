package natsbroker

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// TestReadmesPermissions: the server takes the configuration, the instances get along with it, and others can do no more than it says.
func TestReadmesPermissions(t *testing.T) {
	for _, page := range []string{"README.md", "README.zh-CN.md"} {
		t.Run(page, func(t *testing.T) {
			text, err := os.ReadFile(page)
			must(t, err)
			block := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(text)
			file := filepath.Join(t.TempDir(), "nats.conf")
			must(t, os.WriteFile(file, block[1], 0o600))
			conf, err := server.ProcessConfigFile(file)
			must(t, err)
			s := startServer(t, func(o *server.Options) { o.Users = conf.Users })
			n := upNode(t, Options{URL: s.url(), Group: "chat", Mode: Confirmed, NATS: []nats.Option{nats.UserInfo("chat", "a long secret")}})
			names := []string{"", "news", "orders:7", "other", "\x00close"}
			n.subscribe(names...)
			shop := plainClient(t, s.url(), nats.UserInfo("shop", "another secret"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
			for _, name := range names {
				n.publish(name, "from chat")
				must(t, shop.Publish("chat.c."+token(name), []byte("from shop")))
			}
			must(t, shop.Flush())
			for _, name := range names {
				if _, err := n.Publish(context.Background(), name, broker.Publication{Data: "end"}); err != nil {
					t.Error(err)
				}
				n.awaitMessage(name, "end")
				may := name == "news" || name == "orders:7"
				if !n.has("message", name, "from chat") || n.has("message", name, "from shop") != may {
					t.Errorf("%q: %v", name, n.all())
				}
			}
		})
	}
}

// TestReadmesSubjects are those that names have, and the table of options has all of them.
func TestReadmesSubjects(t *testing.T) {
	for _, page := range []string{"README.md", "README.zh-CN.md"} {
		text, err := os.ReadFile(page)
		must(t, err)
		rows := regexp.MustCompile("(?m)^\\| (`?)([^`|]+?)`? \\| `chat\\.c\\.(\\S+)` \\|$").FindAllStringSubmatch(string(text), -1)
		if len(rows) != 4 {
			t.Errorf("%s has %d subjects", page, len(rows))
		}
		for _, row := range rows {
			name := row[2]
			if row[1] == "" {
				name = ""
			}
			if token(name) != row[3] {
				t.Errorf("%s: %q has the token %q, not %q", page, name, token(name), row[3])
			}
		}
		for _, want := range []string{"`65536`", "`67108864`", "`tank`", "`" + nats.DefaultURL + "`"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s does not have the default %s", page, want)
			}
		}
	}
	if DefaultMaxPending != 65536 || DefaultMaxPendingBytes != 67108864 || DefaultGroup != "tank" {
		t.Error("the pages have other defaults")
	}
}
