// Package tankprometheus exposes the statistics of tank instances to Prometheus.
//
//	import tankprometheus "github.com/fanqie/tank-websocket-go-server/metrics/prometheus"
//
//	collector := tankprometheus.NewCollector()
//	err := collector.Add("chat", tkws) // any number of instances
//	prometheus.MustRegister(collector) // or any other registry; no more than one Collector in each
//	http.Handle("/metrics", promhttp.Handler())
//
// The package is not called prometheus, like its directory, because whoever imports it also imports the package of that name
// from github.com/prometheus/client_golang. It is a module of its own, so that programs without it do not download that.
//
// # Labels
//
// Each series has one label: instance, the name that was given to Add. There are none of topics, users or clients, and there
// will be none: clients choose those, so their number has no bound, and each would be a series that Prometheus keeps for
// weeks. Manager.GetAllTopics, Manager.GetAllClients and package inspector show them.
//
// Prometheus itself labels each series with the instance that it scraped, such as "10.0.0.7:8080". By default (honor_labels:
// false) that keeps the name instance, and the label of this package arrives as exported_instance. This is recommended:
// both are needed as soon as two processes have an instance called "chat". The alerts and the dashboard beside this package
// work either way.
//
// # Cost
//
// A scrape reads some seventy atomic counters of each instance. It waits for no client, topic or callback. Between scrapes
// nothing runs.
package tankprometheus
