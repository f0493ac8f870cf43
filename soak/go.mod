module github.com/fanqie/tank-websocket-go-server/soak

go 1.25.0

replace github.com/fanqie/tank-websocket-go-server => ../

require github.com/fanqie/tank-websocket-go-server v0.0.0

require (
	github.com/anishathalye/porcupine v1.3.1
	go.uber.org/goleak v1.3.0
)

require (
	github.com/coder/websocket v1.8.15 // indirect
	github.com/google/uuid v1.6.0 // indirect
)
