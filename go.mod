module github.com/fanqie/tank-websocket-go-server

go 1.25.0

require (
	github.com/coder/websocket v1.8.15
	github.com/google/uuid v1.6.0
	go.uber.org/goleak v1.3.0
)

require pgregory.net/rapid v1.3.0
