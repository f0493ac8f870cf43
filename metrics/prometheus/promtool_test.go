package tankprometheus_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// program finds promtool or prometheus.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v\nThis test needs %s. On Debian and Ubuntu it comes with:\n"+
			"  apt-get update && apt-get install -y --no-install-recommends prometheus\n"+
			"Elsewhere: https://prometheus.io/download/", err, name)
	}
	return path
}

// promtool runs it in a directory and returns what it says.
func promtool(t *testing.T, dir, input string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "promtool"), args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestPromtoolAcceptsTheExposition(t *testing.T) {
	_, server := expose(t, map[string]*tank.Manager{"chat": eventful(t).Manager, "ticker": tank.NewInstance()})
	if out, err := promtool(t, ".", exposition(t, server), "check", "metrics"); err != nil || out != "" {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

func TestPromtoolAcceptsTheAlerts(t *testing.T) {
	out, err := promtool(t, ".", "", "check", "rules", "alerts.yaml")
	if err != nil || !strings.Contains(out, fmt.Sprintf("SUCCESS: %d rules found", len(readAlerts(t).all()))) {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}

// TestPromtoolAcceptsTheConfigurationOfTheReadme: with the alerts beside it.
func TestPromtoolAcceptsTheConfigurationOfTheReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	must(t, err)
	_, config, _ := strings.Cut(string(readme), "```yaml prometheus\n")
	config, _, found := strings.Cut(config, "```")
	if !found {
		t.Fatal("README.md has no configuration")
	}
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS("."))) // rule_files are looked for beside it
	must(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o666))
	out, err := promtool(t, dir, "", "check", "config", "prometheus.yml")
	if err != nil || !strings.Contains(out, "rules found") {
		t.Errorf("promtool check config: %v\n%s", err, out)
	}
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	if out, err := promtool(t, ".", "", "test", "rules", "alerts_test.yaml"); err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}
}

// TestAlertsAreTestedBothWays breaks each alert, so that it fires never, always, at once, or under one of its two conditions,
// and looks whether that is noticed.
func TestAlertsAreTestedBothWays(t *testing.T) {
	tests, err := os.ReadFile("alerts_test.yaml")
	must(t, err)
	for i, whole := range readAlerts(t).all() {
		broken := map[string]func(*alert){
			"never fires":  func(a *alert) { a.Expr = "(" + a.Expr + ") and on() vector(1) < 0" },
			"fires always": func(a *alert) { a.Expr = metricName.FindString(a.Expr) + " >= 0" },
		}
		if one, other, both := strings.Cut(whole.Expr, "and "); both {
			broken["without the second condition"] = func(a *alert) { a.Expr = one }
			broken["without the first condition"] = func(a *alert) { a.Expr = other }
		}
		if whole.For != "" {
			broken["fires at once"] = func(a *alert) { a.For = "" }
		}
		for how, breaks := range broken {
			t.Run(whole.Alert+" "+how, func(t *testing.T) {
				t.Parallel()
				file := readAlerts(t)
				breaks(file.all()[i])
				text, err := yaml.Marshal(file)
				must(t, err)
				dir := t.TempDir()
				must(t, os.WriteFile(filepath.Join(dir, "alerts.yaml"), text, 0o666))
				must(t, os.WriteFile(filepath.Join(dir, "alerts_test.yaml"), tests, 0o666))
				if out, err := promtool(t, dir, "", "check", "rules", "alerts.yaml"); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				if out, err := promtool(t, dir, "", "test", "rules", "alerts_test.yaml"); err == nil || !strings.Contains(out, whole.Alert) {
					t.Errorf("alerts_test.yaml does not notice: %v\n%s\n%s", err, text, out)
				}
			})
		}
	}
}

type alertFile struct {
	Groups []struct {
		Name  string   `yaml:"name"`
		Rules []*alert `yaml:"rules"`
	} `yaml:"groups"`
}

type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func (f alertFile) all() []*alert {
	var list []*alert
	for _, g := range f.Groups {
		list = append(list, g.Rules...)
	}
	return list
}

func readAlerts(t *testing.T) alertFile {
	t.Helper()
	text, err := os.ReadFile("alerts.yaml")
	must(t, err)
	var f alertFile
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	must(t, d.Decode(&f))
	return f
}

func TestAlertsAskForWhatIsExposed(t *testing.T) {
	known := series(exposed(t))
	for _, a := range readAlerts(t).all() {
		for _, name := range metricName.FindAllString(a.Expr, -1) {
			if !known[name] {
				t.Errorf("%s asks for %s, which nobody exposes", a.Alert, name)
			}
		}
		switch a.Labels["severity"] {
		case "critical", "warning", "info":
		default:
			t.Errorf("%s has the severity %q", a.Alert, a.Labels["severity"])
		}
		if len(a.Annotations) != 2 || a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s has the annotations %q", a.Alert, a.Annotations)
		}
	}
}

// TestOutboxAlertKnowsTheDefault: its threshold is three quarters of a default that may change.
func TestOutboxAlertKnowsTheDefault(t *testing.T) {
	want := fmt.Sprintf("tank_outbox_memory_bytes > %d * 1024 * 1024", tank.DefaultTotalOutboxBytes*3/4>>20)
	for _, a := range readAlerts(t).all() {
		if a.Expr == want {
			return
		}
	}
	t.Errorf("no alert asks for %s", want)
}
