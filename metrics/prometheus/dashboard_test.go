package tankprometheus_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// dashboard is what these tests want to know of grafana-dashboard.json.
type dashboard struct {
	ID            *int   `json:"id"`
	UID           string `json:"uid"`
	Title         string `json:"title"`
	SchemaVersion int    `json:"schemaVersion"`
	Templating    struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type variable struct {
	Name       string          `json:"name"`
	Type       string          `json:"type"`
	Query      json.RawMessage `json:"query"`
	Definition string          `json:"definition"`
	AllValue   string          `json:"allValue"`
	Datasource struct {
		UID string `json:"uid"`
	} `json:"datasource"`
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Datasource  struct {
		Type string `json:"type"`
		UID  string `json:"uid"`
	} `json:"datasource"`
	GridPos struct {
		X, Y, W, H int
	} `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Options struct {
		YAxis struct {
			Unit string `json:"unit"`
		} `json:"yAxis"`
	} `json:"options"`
	Targets []struct {
		RefID  string `json:"refId"`
		Expr   string `json:"expr"`
		Format string `json:"format"`
	} `json:"targets"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile("grafana-dashboard.json")
	must(t, err)
	var d dashboard
	must(t, json.Unmarshal(text, &d))
	return d
}

// series are the names that queries can use of what was scraped.
func series(families map[string]*dto.MetricFamily) map[string]bool {
	names := make(map[string]bool)
	for name, family := range families {
		if family.GetType() == dto.MetricType_HISTOGRAM {
			names[name+"_bucket"], names[name+"_sum"], names[name+"_count"] = true, true, true
		} else {
			names[name] = true
		}
	}
	return names
}

var metricName = regexp.MustCompile(`\btank_\w+`)

func exposed(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	_, server := expose(t, map[string]*tank.Manager{"chat": tank.NewInstance()})
	return scrape(t, server)
}

func TestDashboardAsksForWhatIsExposed(t *testing.T) {
	families, d := exposed(t), readDashboard(t)
	known, used := series(families), make(map[string]bool)
	expressions := make(map[string]string)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			expressions[target.Expr] = p.Title
		}
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			expressions[v.Definition] = v.Name
		}
	}
	for expr, place := range expressions {
		names := metricName.FindAllString(expr, -1)
		if len(names) == 0 {
			t.Errorf("%s: %s asks for no metric", place, expr)
		}
		for _, name := range names {
			if !known[name] {
				t.Errorf("%s: %s asks for %s, which nobody exposes", place, expr, name)
			}
			used[strings.TrimSuffix(name, "_bucket")] = true
		}
	}
	for name := range families {
		if !used[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

func TestDashboardCanBeImported(t *testing.T) {
	d := readDashboard(t)
	if d.ID != nil || d.UID == "" || d.Title == "" || d.SchemaVersion < 36 {
		t.Errorf("id %v (want null, Grafana gives one), uid %q, title %q, schemaVersion %d", d.ID, d.UID, d.Title, d.SchemaVersion)
	}
	names := make(map[string]bool)
	for _, v := range d.Templating.List {
		if names[v.Name] {
			t.Errorf("there are two variables %s", v.Name)
		}
		names[v.Name] = true
		switch {
		case v.Name == "datasource" && (v.Type != "datasource" || string(v.Query) != `"prometheus"`):
			t.Errorf("variable datasource is a %s of %s", v.Type, v.Query)
		case v.Type == "query" && v.Datasource.UID != "${datasource}":
			t.Errorf("variable %s asks data source %s", v.Name, v.Datasource.UID)
		case v.Type == "query" && v.AllValue != ".*": // which series without the label match, too
			t.Errorf("variable %s takes %q for all", v.Name, v.AllValue)
		}
	}
	for _, name := range []string{"datasource", "job", "instance", "exported_instance"} {
		if !names[name] {
			t.Errorf("there is no variable %s", name)
		}
	}
	types := make(map[string]int)
	for _, p := range d.Panels {
		types[p.Type]++
		p.check(t)
	}
	if types["row"] == 0 || types["stat"] == 0 || types["timeseries"] == 0 || types["heatmap"] == 0 {
		t.Errorf("panels are of the types %v", types)
	}
}

// check looks for what makes a panel useful.
func (p panel) check(t *testing.T) {
	t.Helper()
	if p.Title == "" {
		t.Errorf("panel %d has no title", p.ID)
	}
	if p.Type == "row" {
		return
	}
	unit := p.FieldConfig.Defaults.Unit
	if p.Type == "heatmap" {
		unit = p.Options.YAxis.Unit
	}
	if p.Description == "" || unit == "" || p.Datasource.Type != "prometheus" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
		t.Errorf("panel %q has the description %q, unit %q, data source %v, %d targets", p.Title, p.Description, unit, p.Datasource, len(p.Targets))
	}
	seen := make(map[string]bool)
	for _, target := range p.Targets {
		if seen[target.RefID] || target.RefID == "" {
			t.Errorf("panel %q has two targets %q", p.Title, target.RefID)
		}
		seen[target.RefID] = true
		if p.Type == "heatmap" && target.Format != "heatmap" {
			t.Errorf("heatmap %q gets its buckets as %q", p.Title, target.Format)
		}
		for _, name := range metricName.FindAllString(target.Expr, -1) {
			if !strings.Contains(target.Expr, name+`{job=~"$job", instance=~"$instance", exported_instance=~"$exported_instance"}`) {
				t.Errorf("panel %q: %s does not heed the variables", p.Title, target.Expr)
			}
		}
	}
}

func TestPanelsStandBesideEachOther(t *testing.T) {
	panels := readDashboard(t).Panels
	ids := make(map[int]string)
	for i, p := range panels {
		if other, taken := ids[p.ID]; taken || p.ID <= 0 {
			t.Errorf("%q and %q have the id %d", p.Title, other, p.ID)
		}
		ids[p.ID] = p.Title
		a := p.GridPos
		if a.W <= 0 || a.H <= 0 || a.X < 0 || a.Y < 0 || a.X+a.W > 24 {
			t.Errorf("%q is at %+v; the grid has 24 columns", p.Title, a)
		}
		for _, other := range panels[:i] {
			if b := other.GridPos; a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%q (%+v) and %q (%+v) overlap", p.Title, a, other.Title, b)
			}
		}
	}
	sorted := slices.IsSortedFunc(panels, func(a, b panel) int {
		if a.GridPos.Y != b.GridPos.Y {
			return a.GridPos.Y - b.GridPos.Y
		}
		return a.GridPos.X - b.GridPos.X
	})
	if !sorted {
		t.Error("the file does not list the panels from top left to bottom right")
	}
}
