package docscheck

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/types"
	"math/bits"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

//go:generate go test -run ^TestOptionPagesAreGenerated$ . -update

var update = flag.Bool("update", false, "write the tables of docs/options.md and docs/options.zh-CN.md anew")

// option is an option, or fields of Limits or Upgrader that share a comment.
type option struct {
	table    string
	names    []string
	typ      string
	defaults []any // as the code has them; nil: the comment says it in words
	comment  string
}

// optionDefaults are the constants that comments of options mention, in their order.
var optionDefaults = map[string][]any{
	"WithHeartbeat":       {tank.DefaultHeartbeatInterval, tank.DefaultHeartbeatTimeout},
	"WithErrorBuffer":     {tank.DefaultEventBuffer},
	"WithConnEventBuffer": {tank.DefaultEventBuffer},
	"WithCompression":     {tank.DefaultCompressionLevel, tank.DefaultCompressionThreshold},
}

// defaultLimits has the constants in place of the fields that an instance sets by default.
var defaultLimits = reflect.ValueOf(tank.Limits{
	MessageBytes:       tank.DefaultMessageBytes,
	MessageTimeout:     tank.DefaultMessageTimeout,
	MessagesPerSecond:  tank.DefaultMessagesPerSecond,
	MessageBurst:       tank.DefaultMessageBurst,
	PingsPerSecond:     tank.DefaultPingsPerSecond,
	PingBurst:          tank.DefaultPingBurst,
	Subscriptions:      tank.DefaultSubscriptions,
	Connections:        tank.DefaultConnections,
	ConnectionsPerUser: tank.DefaultConnectionsPerUser,
	OutboxBytes:        tank.DefaultOutboxBytes,
	TotalOutboxBytes:   tank.DefaultTotalOutboxBytes,
	TopicQueueBytes:    tank.DefaultTopicQueueBytes,
	TotalHistoryBytes:  tank.DefaultTotalHistoryBytes,
	PublishTimeout:     tank.DefaultPublishTimeout,
	WriteTimeout:       tank.DefaultWriteTimeout,
	CloseTimeout:       tank.DefaultCloseTimeout,
})

// options returns all options and fields, in the order of the pages.
func options(t *testing.T) (list []option) {
	t.Helper()
	code := documentation(t, ".")
	for _, group := range code.Consts {
		for _, spec := range group.Decl.Specs {
			if v := spec.(*ast.ValueSpec); strings.HasPrefix(v.Names[0].Name, "Outbox") {
				list = append(list, option{"OutboxPolicy", []string{v.Names[0].Name}, "OutboxPolicy", nil, v.Doc.Text()})
			}
		}
	}
	for _, typ := range code.Types {
		switch typ.Name {
		case "Option":
			for _, f := range typ.Funcs {
				parameters := strings.TrimSuffix(strings.TrimPrefix(types.ExprString(f.Decl.Type), "func("), ") Option")
				list = append(list, option{typ.Name, []string{f.Name}, parameters, optionDefaults[f.Name], f.Doc})
			}
		case "Limits", "Upgrader":
			for _, field := range typ.Decl.Specs[0].(*ast.TypeSpec).Type.(*ast.StructType).Fields.List {
				o := option{table: typ.Name, typ: types.ExprString(field.Type), comment: field.Doc.Text()}
				for _, name := range field.Names {
					o.names = append(o.names, typ.Name+"."+name.Name)
					if typ.Name == "Limits" {
						o.defaults = append(o.defaults, defaultLimits.FieldByName(name.Name).Interface())
					}
				}
				list = append(list, o)
			}
		}
	}
	return list
}

// quantity writes a default: sizes and times with their units.
func quantity(name string, v any, second string) string {
	n, isNumber := v.(int)
	switch d, isTime := v.(time.Duration); {
	case isTime:
		return fmt.Sprintf("%g %s", d.Seconds(), second)
	case isNumber && strings.HasSuffix(name, "Bytes"):
		power := (bits.Len(uint(n)) - 1) / 10
		return fmt.Sprintf("%g %s", float64(n)/float64(int(1)<<(10*power)), []string{"bytes", "KiB", "MiB", "GiB"}[power])
	case n >= 10_000:
		return fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
	return fmt.Sprint(v)
}

// quantities writes all defaults, with the language's words for "and" and for seconds.
func (o option) quantities(and, second string) string {
	var list []string
	for i, v := range o.defaults {
		list = append(list, quantity(o.names[min(i, len(o.names)-1)], v, second))
	}
	return strings.Join(list, and)
}

var defaultText = regexp.MustCompile(`(?s)\bDefault:? (.*?)\.?\s*$`)

// english returns what the comment says about the default, which must have the figures of the code, and its first sentence.
func (o option) english(t *testing.T) [2]string {
	standard := ""
	if m := defaultText.FindStringSubmatch(o.comment); m != nil {
		standard = strings.Join(strings.Fields(m[1]), " ")
	}
	want := o.quantities(" and ", "s")
	inWords := regexp.MustCompile(`(^|\s)` + regexp.QuoteMeta(want) + `(\s|$)`)
	if o.table == "Limits" && standard != want || o.defaults != nil && !inWords.MatchString(standard) {
		t.Errorf("the default of %s is %s, and its comment says %q", o.names, want, standard)
	}
	return [2]string{standard, new(doc.Package).Synopsis(o.comment)}
}

// TestOptionPagesAreGenerated compares docs/options.md with the comments of options, policies and fields, and the Chinese page
// with internal/docscheck/options.zh-CN.json, which has the default, where figures do not say it, and the meaning of each.
func TestOptionPagesAreGenerated(t *testing.T) {
	var chinese map[string][2]string
	text, err := os.ReadFile("internal/docscheck/options.zh-CN.json")
	if err == nil {
		err = json.Unmarshal(text, &chinese)
	}
	if err != nil {
		t.Fatal(err)
	}
	en, zh := make(map[string]string), make(map[string]string) // the rows of each table
	for _, o := range options(t) {
		key, names := o.names[0], "| `"+strings.Join(o.names, "`, `")+"` | `"+o.typ+"` | "
		translated, known := chinese[key]
		if !known || translated[1] == "" {
			t.Errorf("internal/docscheck/options.zh-CN.json does not have %s", key)
		}
		if delete(chinese, key); translated[0] == "" {
			translated[0] = o.quantities("，", "秒")
		} else if strings.Contains(translated[0], "%v") {
			translated[0] = fmt.Sprintf(translated[0], o.defaults...)
		}
		original := o.english(t)
		en[o.table] += names + strings.Join(original[:], " | ") + " |\n"
		zh[o.table] += names + strings.Join(translated[:], " | ") + " |\n"
	}
	for key := range chinese {
		t.Errorf("internal/docscheck/options.zh-CN.json has %s, which the code does not", key)
	}
	compareTables(t, "docs/options.md", "| name | type | default | meaning |", en)
	compareTables(t, "docs/options.zh-CN.md", "| 名称 | 类型 | 默认值 | 作用 |", zh)
}

// compareTables compares the tables of a page, or writes them.
func compareTables(t *testing.T, name, head string, tables map[string]string) {
	t.Helper()
	before := readPage(t, name).text
	after := before
	for table, rows := range tables {
		begin, end := "<!-- begin "+table+" -->\n", "<!-- end "+table+" -->\n"
		first, _, ok1 := strings.Cut(after, begin)
		_, last, ok2 := strings.Cut(after, end)
		if !ok1 || !ok2 {
			t.Fatalf("%s has no place for a table between %q and %q", name, begin, end)
		}
		after = first + begin + head + "\n| --- | --- | --- | --- |\n" + rows + end + last
	}
	if before == after {
		return
	}
	if !*update {
		t.Errorf("%s is not what the comments in the code say: run go generate ./...", name)
	} else if err := os.WriteFile(filepath.FromSlash(name), []byte(after), 0o666); err != nil {
		t.Fatal(err)
	}
}

// TestDefaultsInPagesAreTrue looks at defaults that other pages repeat: behind a limit's name, `Limits.X` (32 KiB), and in rows
// that have a figure in front of the names.
func TestDefaultsInPagesAreTrue(t *testing.T) {
	repeated := regexp.MustCompile("(?m)`Limits\\.\\w+` ?[(（]\\d[^)）]*|^\\|[^|]*\\| \\d[^|]* \\| `Limits\\..*")
	limits := defaultLimits
	found := 0
	for _, p := range pages(t) {
		for _, text := range repeated.FindAllString(p.text, -1) {
			for _, m := range regexp.MustCompile(`Limits\.(\w+)`).FindAllStringSubmatch(text, -1) {
				found++
				field := limits.FieldByName(m[1])
				if !field.IsValid() {
					t.Errorf("%s: there is no %s", p.path, m[0])
					continue
				}
				en, zh := quantity(m[1], field.Interface(), "s"), quantity(m[1], field.Interface(), "秒")
				if !regexp.MustCompile(`[^\d,](` + en + `|` + zh + `)([^\d,]|$)`).MatchString(text) {
					t.Errorf("%s: the default of %s is %s, and the page says %q", p.path, m[0], en, text)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no page repeats a default: is this test still looking at the right thing?")
	}
}

// TestDefaultsInReadmesAreTrue compares all figures in the READMEs' tables of features with the defaults, in the rows' order.
func TestDefaultsInReadmesAreTrue(t *testing.T) {
	limits := defaultLimits
	for name, second := range map[string]string{"README.md": "s", "README.zh-CN.md": "秒"} {
		var want []string
		for _, f := range []string{"OutboxBytes", "TopicQueueBytes", "PublishTimeout", "Connections", "MessagesPerSecond", "MessageBurst"} {
			want = append(want, quantity(f, limits.FieldByName(f).Interface(), second))
		}
		want = append(want, quantity("", tank.DefaultHeartbeatInterval, second), quantity("", tank.DefaultHeartbeatTimeout, second))
		features := strings.ReplaceAll(strings.Split(readPage(t, name).text, "\n## ")[1], "v2", "") // the name of a protocol
		if got := regexp.MustCompile(`\d[\d,]*( s\b| 秒| MiB)?`).FindAllString(features, -1); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the defaults of the features are %q, want %q", name, got, want)
		}
	}
}

// TestNamesInPagesExist looks in the API for the names that pages show as code, such as `WithLogger` and `Limits.Connections`.
// The change log also names what is gone.
func TestNamesInPagesExist(t *testing.T) {
	named := regexp.MustCompile("`(?:tank\\.)?(With\\w+|(Limits|Upgrader|Stats|Client|Manager)\\.(\\w+))")
	fields := map[string]reflect.Type{
		"Limits": reflect.TypeFor[tank.Limits](), "Upgrader": reflect.TypeFor[tank.Upgrader](), "Stats": reflect.TypeFor[tank.Stats](),
	}
	calls := functions(documentation(t, "."))
	for _, p := range pages(t) {
		for _, m := range named.FindAllStringSubmatch(p.text, -1) {
			known := calls[m[1]] != nil || p.path == "CHANGELOG.md"
			if typ := fields[m[2]]; typ != nil && !known {
				_, known = typ.FieldByName(m[3])
			}
			if !known {
				t.Errorf("%s: there is no %s", p.path, m[1])
			}
		}
	}
}
