module github.com/fanqie/tank-websocket-go-server/examples/orders

go 1.25.0

require (
	github.com/coder/websocket v1.8.15
	github.com/fanqie/tank-websocket-go-server v0.1.0
	github.com/fanqie/tank-websocket-go-server/metrics/prometheus v0.1.0
	github.com/prometheus/client_golang v1.24.1
	go.uber.org/goleak v1.3.0
)

require (
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/client_model v0.6.2 // indirect
	github.com/prometheus/common v0.71.0 // indirect
	github.com/prometheus/procfs v0.21.1 // indirect
	golang.org/x/sys v0.47.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace (
	github.com/fanqie/tank-websocket-go-server => ../..
	github.com/fanqie/tank-websocket-go-server/metrics/prometheus => ../../metrics/prometheus
)
