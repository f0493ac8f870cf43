package tankprometheus

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// MaxName is how many bytes the name of an instance may have.
const MaxName = 128

// Collector is a prometheus.Collector of any number of instances, which may come and go while it is registered. All methods
// are safe for concurrent use. Make it with NewCollector.
type Collector struct {
	mu        sync.Mutex // held for no longer than the map takes, never while metrics are read or sent
	instances map[string]*tank.Manager
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a Collector without instances.
func NewCollector() *Collector {
	return &Collector{instances: make(map[string]*tank.Manager)}
}

// Add exposes an instance from now on, under a name that becomes the value of the label instance: 1 to MaxName bytes of UTF-8
// without control characters. It does not matter whether the instance is started: before Start and after Shutdown its
// counters stand still, and tank_running is 0. The Collector holds on to the instance until Remove.
//
// It returns an error, and changes nothing, when the name is invalid or taken, m is nil, or m has been added under another
// name, because sums would then count it twice. It does not block.
func (c *Collector) Add(name string, m *tank.Manager) error {
	if err := checkName(name); err != nil {
		return err
	}
	if m == nil {
		return fmt.Errorf("tankprometheus: instance %s is nil", quote(name))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.instances[name]; taken {
		return fmt.Errorf("tankprometheus: there is already an instance %s", quote(name))
	}
	for other, known := range c.instances {
		if known == m {
			return fmt.Errorf("tankprometheus: instance %s is already there as %s", quote(name), quote(other))
		}
	}
	c.instances[strings.Clone(name)] = m
	return nil
}

// Remove ends what Add began, and reports whether there was an instance of that name. A scrape that has begun may still see
// it. The name is free again; an instance that is added under it continues the series, whose counters Prometheus takes for
// restarted ones. It does not block.
func (c *Collector) Remove(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, found := c.instances[name]
	delete(c.instances, name)
	return found
}

// Describe is called by the registry.
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	for _, m := range statMetrics {
		descs <- m.desc
	}
	for _, m := range histogramMetrics {
		descs <- m.desc
	}
}

// Collect is called by the registry for each scrape. It waits for whoever reads the channel, and for nobody else.
//
// What it reads of a busy instance is of slightly different moments. A histogram's count is the sum of its buckets; its sum
// may be ahead of that, or behind, by what was observed meanwhile.
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	for name, m := range c.snapshot() {
		stats, histograms := m.Stats(), m.Histograms()
		for _, metric := range statMetrics {
			metrics <- metric.of(stats, name)
		}
		for _, metric := range histogramMetrics {
			metrics <- metric.of(histograms, name)
		}
	}
}

// snapshot returns the instances of this moment.
func (c *Collector) snapshot() map[string]*tank.Manager {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.instances)
}

// checkName says why a name cannot be that of an instance. Prometheus takes an empty label for a missing one.
func checkName(name string) error {
	problem := ""
	switch {
	case name == "":
		return errors.New(`tankprometheus: the name of an instance is empty`)
	case len(name) > MaxName:
		problem = fmt.Sprintf("has %d bytes, and may have %d", len(name), MaxName)
	case !utf8.ValidString(name):
		problem = "is not valid UTF-8"
	default:
		for _, r := range name {
			if unicode.IsControl(r) {
				problem = fmt.Sprintf("contains the control character %U", r)
			}
		}
	}
	if problem == "" {
		return nil
	}
	return fmt.Errorf("tankprometheus: instance name %s %s", quote(name), problem)
}

// quote returns a name in double quotes, escaped and shortened.
func quote(name string) string {
	const most = 32
	if len(name) <= most {
		return strconv.QuoteToASCII(name)
	}
	end := most
	for end > most-utf8.UTFMax && !utf8.RuneStart(name[end]) {
		end--
	}
	return strconv.QuoteToASCII(name[:end]) + "..."
}
