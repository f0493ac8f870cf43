package natsbroker

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

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

// TestReadmesPermissionsOfJetStream are all that an instance needs, and each of them is needed.
func TestReadmesPermissionsOfJetStream(t *testing.T) {
	for _, page := range []string{"README.md", "README.zh-CN.md"} {
		text, err := os.ReadFile(page)
		must(t, err)
		blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(text, -1)
		var may struct{ Publish, Subscribe []string }
		must(t, json.Unmarshal(blocks[1][1], &may))
		for _, without := range append([]string{""}, may.Publish...) {
			if page != "README.md" && without != "" {
				continue // it says the same
			}
			t.Run(page+" without "+without, func(t *testing.T) {
				s := startServer(t, withJetStream(t), func(o *server.Options) {
					o.Users = []*server.User{{Username: "chat", Password: "p", Permissions: &server.Permissions{
						Publish:   &server.SubjectPermission{Allow: slices.DeleteFunc(slices.Clone(may.Publish), func(s string) bool { return s == without })},
						Subscribe: &server.SubjectPermission{Allow: may.Subscribe},
					}}}
				})
				n := open(t, Options{URL: s.url(), Group: "chat", Mode: JetStream, NATS: []nats.Option{nats.UserInfo("chat", "p")}})
				if works := within(map[bool]time.Duration{true: patience, false: time.Second}[without == ""], func() bool { return keepsAll(n) }); works != (without == "") {
					t.Errorf("it works: %v, %v", works, n.all())
				}
				if without == "" && n.conn.LastError() != nil {
					t.Error(n.conn.LastError())
				}
			})
		}
	}
}

// keepsAll does what needs permissions.
func keepsAll(n *node) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	l := &ledger{name: "x"}
	subs := append(n.wish("plain"), broker.Subscription{Name: "x", Keep: true, To: l})
	defer n.Unsubscribe(subs)
	if !n.isUp() || n.Subscribe(ctx, subs) != nil {
		return false
	}
	_, plain := n.Publish(ctx, "plain", broker.Publication{Data: "1"})
	_, kept := n.Publish(ctx, "x", broker.Publication{Data: "1", Keep: true})
	r, reset := n.Publish(ctx, "x", broker.Publication{Keep: true, Reset: true})
	if plain != nil || kept != nil || reset != nil || !within(500*time.Millisecond, func() bool { return l.got("1") && l.last().Reset }) {
		return false
	}
	return within(500*time.Millisecond, func() bool { // the purge
		page, err := n.After(ctx, "x", r.Epoch, 0, 10)
		k := n.keeper
		p, lost := k.page(ctx, n.session.Load(), k.from+"x", 1)
		return err == nil && lost == nil && len(page.Messages) == 0 && len(p.list) == 1
	})
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
		for _, want := range []string{"`65536`", "`67108864`", "`tank`", "`" + nats.DefaultURL + "`", "`2000`", "`24h`", "`1073741824`", "`2m`", " 128 "} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s does not have the default %s", page, want)
			}
		}
	}
	if DefaultMaxPending != 65536 || DefaultMaxPendingBytes != 67108864 || DefaultGroup != "tank" || DefaultMessages != 2000 || DefaultAge != 24*time.Hour || DefaultBytes != 1073741824 ||
		DefaultDuplicates != 2*time.Minute || keptHead != 128 {
		t.Error("the pages have other defaults")
	}
}
