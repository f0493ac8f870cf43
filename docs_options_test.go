package tank_test

import (
	"fmt"
	"go/ast"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// defaults are those of the limits, as the constants have them.
var defaults = map[string]any{
	"Limits.MessageBytes":       tank.DefaultMessageBytes,
	"Limits.MessageTimeout":     tank.DefaultMessageTimeout,
	"Limits.MessagesPerSecond":  tank.DefaultMessagesPerSecond,
	"Limits.MessageBurst":       tank.DefaultMessageBurst,
	"Limits.PingsPerSecond":     tank.DefaultPingsPerSecond,
	"Limits.PingBurst":          tank.DefaultPingBurst,
	"Limits.Subscriptions":      tank.DefaultSubscriptions,
	"Limits.Connections":        tank.DefaultConnections,
	"Limits.ConnectionsPerUser": tank.DefaultConnectionsPerUser,
	"Limits.OutboxBytes":        tank.DefaultOutboxBytes,
	"Limits.TotalOutboxBytes":   tank.DefaultTotalOutboxBytes,
	"Limits.TopicQueueBytes":    tank.DefaultTopicQueueBytes,
	"Limits.PublishTimeout":     tank.DefaultPublishTimeout,
	"Limits.WriteTimeout":       tank.DefaultWriteTimeout,
	"Limits.CloseTimeout":       tank.DefaultCloseTimeout,
}

// optionDefaults are those of the options, in the order in which the tables have them.
var optionDefaults = map[string][]any{
	"WithHeartbeat":       {tank.DefaultHeartbeatInterval, tank.DefaultHeartbeatTimeout},
	"WithErrorBuffer":     {tank.DefaultEventBuffer},
	"WithConnEventBuffer": {tank.DefaultEventBuffer},
	"WithCompression":     {tank.DefaultCompressionLevel, tank.DefaultCompressionThreshold},
}

// TestOptionTablesAreComplete: each option, and each field of Limits and Upgrader, has its row in the tables of options, and
// nothing else has.
func TestOptionTablesAreComplete(t *testing.T) {
	var want []string
	for name := range functions(documentation(t, ".")) {
		if strings.HasPrefix(name, "With") {
			want = append(want, name)
		}
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[tank.Limits](), reflect.TypeFor[tank.Upgrader]()} {
		for i := range typ.NumField() {
			want = append(want, typ.Name()+"."+typ.Field(i).Name)
		}
	}
	slices.Sort(want)
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		got := slices.Sorted(maps.Keys(optionTable(t, name)))
		if !slices.Equal(got, want) {
			t.Errorf("%s has the options\n%q, want\n%q", name, got, want)
		}
	}
}

// TestDefaultsInDocsAreTrue compares the tables of options and of limits with the constants, and with what the comments of the
// fields say.
func TestDefaultsInDocsAreTrue(t *testing.T) {
	comments := fieldComments(t)
	limits := 0
	for i := range reflect.TypeFor[tank.Limits]().NumField() {
		name := "Limits." + reflect.TypeFor[tank.Limits]().Field(i).Name
		if _, known := defaults[name]; !known {
			t.Errorf("the test does not know the default of %s", name)
		}
	}
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		for option, cell := range optionTable(t, name) {
			want := optionDefaults[option]
			if value, is := defaults[option]; is {
				want = []any{value}
				limits++
			}
			if got := quantities(cell); want != nil && !isPartOf(want, got) {
				t.Errorf("%s: the default of %s is %v, and the table says %q", name, option, want, cell)
			}
			if comment := comments[option]; comment != "" && want != nil && !isPartOf(want, quantities(comment)) {
				t.Errorf("the default of %s is %v, and its comment says %q", option, want, comment)
			}
			if size := quantities(cell); strings.HasSuffix(option, "BufferSize") && !isPartOf(size, quantities(comments[option])) {
				t.Errorf("%s: the table says that %s is %q, and its comment %q", name, option, cell, comments[option])
			}
		}
	}
	if limits != 2*len(defaults) {
		t.Errorf("%d defaults of limits were compared, want %d", limits, 2*len(defaults))
	}
	for _, name := range []string{"docs/security.md", "docs/security.zh-CN.md"} {
		checkSecurityTable(t, name)
	}
}

// checkSecurityTable looks at the rows about limits: their defaults stand in the second cell, their names in the third.
func checkSecurityTable(t *testing.T, name string) {
	compared := 0
	for _, row := range rows(readPage(t, name).text) {
		if len(row) < 3 {
			continue
		}
		for i, limit := range limitName.FindAllString(row[2], -1) {
			if got := quantities(row[1]); i < len(got) {
				compared++
				if want := defaults[limit]; got[i] != want {
					t.Errorf("%s: the default of %s is %v, and the table says %q", name, limit, want, row[1])
				}
			}
		}
	}
	if compared < 10 {
		t.Errorf("%s: only %d defaults were found", name, compared)
	}
}

var limitName = regexp.MustCompile(`Limits\.\w+`)

// optionTable returns what the table of options says about defaults, by option or field.
func optionTable(t *testing.T, name string) map[string]string {
	t.Helper()
	table := make(map[string]string)
	for _, row := range rows(readPage(t, name).text) {
		names := optionName.FindAllStringSubmatch(row[0], -1)
		values := regexp.MustCompile(`, |，`).Split(row[1], -1)
		for i, m := range names {
			if table[m[1]] = row[1]; len(names) > 1 && len(names) == len(values) {
				table[m[1]] = values[i]
			}
		}
	}
	return table
}

var optionName = regexp.MustCompile("`(With\\w+|Limits\\.\\w+|Upgrader\\.\\w+)[(`]")

// rows returns the cells of all rows of tables, two at least.
func rows(text string) [][]string {
	var list [][]string
	for _, line := range strings.Split(text, "\n") {
		if cells := strings.Split(strings.Trim(line, "| "), " | "); strings.HasPrefix(line, "|") && len(cells) > 1 {
			list = append(list, cells)
		}
	}
	return list
}

// quantity is a number and its unit, in either language.
var quantity = regexp.MustCompile(`(\d[\d,]*)(?: ?(KiB|MiB|GiB|bytes|s|ms|秒|字节)\b| ?(秒|字节))?`)

// quantities returns the numbers in a text: sizes in bytes and bare numbers as int, times as time.Duration.
func quantities(text string) []any {
	var list []any
	for _, m := range quantity.FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(strings.ReplaceAll(strings.TrimSuffix(m[1], ","), ",", ""))
		if err != nil {
			panic(fmt.Sprintf("%q: %v", m[0], err)) // the pattern lets only digits pass
		}
		switch m[2] + m[3] {
		case "KiB":
			list = append(list, n<<10)
		case "MiB":
			list = append(list, n<<20)
		case "GiB":
			list = append(list, n<<30)
		case "s", "秒":
			list = append(list, time.Duration(n)*time.Second)
		case "ms":
			list = append(list, time.Duration(n)*time.Millisecond)
		default:
			list = append(list, n)
		}
	}
	return list
}

// isPartOf reports whether all of these are among others, in this order.
func isPartOf(these, others []any) bool {
	for _, o := range others {
		if len(these) > 0 && these[0] == o {
			these = these[1:]
		}
	}
	return len(these) == 0
}

// fieldComments returns what the comments of fields say behind the word Default, by field; fields that share a comment share
// that.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	comments := make(map[string]string)
	for _, typ := range documentation(t, ".").Types {
		for _, spec := range typ.Decl.Specs {
			structure, is := spec.(*ast.TypeSpec).Type.(*ast.StructType)
			if !is {
				continue
			}
			for _, field := range structure.Fields.List {
				_, text, _ := strings.Cut(field.Doc.Text(), "Default ")
				values := strings.Split(text, " and ")
				for i, name := range field.Names {
					if comments[typ.Name+"."+name.Name] = text; len(values) == len(field.Names) {
						comments[typ.Name+"."+name.Name] = values[i]
					}
				}
			}
		}
	}
	return comments
}

// TestMeasuredMemoryIsInTheResults: what the page about deployment says about memory, the benchmark's results have.
func TestMeasuredMemoryIsInTheResults(t *testing.T) {
	results, err := os.ReadFile("bench/results/results.md")
	if err != nil {
		t.Fatal(err)
	}
	_, memory, _ := strings.Cut(readPage(t, "docs/deployment.md").text, "\n## Memory\n")
	found := 0
	for _, row := range rows(memory) {
		figure := row[len(row)-1]
		if !regexp.MustCompile(`^[\d.]+ (B|KiB|MiB)$`).MatchString(figure) {
			continue
		}
		found++
		if !regexp.MustCompile(`(?m)^\| tank .*\| ` + regexp.QuoteMeta(figure) + ` \|`).Match(results) {
			t.Errorf("docs/deployment.md: the results do not have %s", figure)
		}
	}
	if found == 0 {
		t.Error("docs/deployment.md has no figures about memory")
	}
}
