package tankprometheus_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	tank "github.com/fanqie/tank-websocket-go-server"
	tankprometheus "github.com/fanqie/tank-websocket-go-server/metrics/prometheus"
)

// Two instances, and what a scrape says about them. A service would register with prometheus.DefaultRegisterer, and mount
// promhttp.Handler().
func Example() {
	chat, ticker := tank.NewInstance(), tank.NewInstance()
	go chat.Start()
	defer chat.Shutdown(context.Background())

	collector := tankprometheus.NewCollector()
	if err := collector.Add("chat", chat); err != nil {
		log.Fatal(err)
	}
	if err := collector.Add("ticker", ticker); err != nil {
		log.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer server.Close()

	response, err := server.Client().Get(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if strings.Contains(lines.Text(), "tank_topics") {
			fmt.Println(lines.Text())
		}
	}
	fmt.Println(collector.Add("chat", ticker))
	// Output:
	// # HELP tank_topics Topics that have subscribers or keep messages.
	// # TYPE tank_topics gauge
	// tank_topics{instance="chat"} 0
	// tank_topics{instance="ticker"} 0
	// tankprometheus: there is already an instance "chat"
}

// An instance that comes while the program runs, and goes again.
func ExampleCollector_Remove() {
	collector := tankprometheus.NewCollector()
	room := tank.NewInstance()
	fmt.Println(collector.Add("room 17", room))
	fmt.Println(collector.Remove("room 17"))
	fmt.Println(collector.Remove("room 17"))
	// Output:
	// <nil>
	// true
	// false
}
