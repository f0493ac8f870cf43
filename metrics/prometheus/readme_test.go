package tankprometheus_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// TestReadmesListWhatIsExposed: each metric with its type, and the number of series; and each alert with its severity. The
// tables of both languages are compared.
func TestReadmesListWhatIsExposed(t *testing.T) {
	_, server := expose(t, map[string]*tank.Manager{"chat": tank.NewInstance()})
	metrics, alerts := make(map[string]string), make(map[string]string)
	for name, family := range scrape(t, server) {
		metrics[name] = strings.ToLower(family.GetType().String())
	}
	for _, a := range readAlerts(t).all() {
		alerts[a.Alert] = a.Labels["severity"]
	}
	series := 0
	for line := range strings.Lines(exposition(t, server)) {
		if !strings.HasPrefix(line, "#") {
			series++
		}
	}
	for _, file := range []string{"README.md", "README.zh-CN.md"} {
		text, err := os.ReadFile(file)
		must(t, err)
		sameTable(t, file, listed(string(text), `tank_\w+`), metrics)
		sameTable(t, file, listed(string(text), `Tank\w+`), alerts)
		if m := regexp.MustCompile(`(\d+) (series|条时间序列)`).FindStringSubmatch(string(text)); m == nil || m[1] != strconv.Itoa(series) {
			t.Errorf("%s says %q; there are %d", file, m, series)
		}
	}
}

// listed returns the first two columns of the rows whose first is such a name.
func listed(text, name string) map[string]string {
	rows := make(map[string]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `("+name+")` \\| (\\w+) \\|").FindAllStringSubmatch(text, -1) {
		rows[m[1]] = m[2]
	}
	return rows
}

func sameTable(t *testing.T, file string, got, want map[string]string) {
	t.Helper()
	for name, what := range got {
		if want[name] != what {
			t.Errorf("%s: %s is listed as %s, and is %q", file, name, what, want[name])
		}
	}
	for name := range want {
		if got[name] == "" {
			t.Errorf("%s does not list %s", file, name)
		}
	}
}
