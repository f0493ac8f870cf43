module github.com/fanqie/tank-websocket-go-server/examples/cluster

go 1.25.0

replace (
	github.com/fanqie/tank-websocket-go-server => ../..
	github.com/fanqie/tank-websocket-go-server/broker/nats => ../../broker/nats
)

require (
	github.com/coder/websocket v1.8.15
	github.com/fanqie/tank-websocket-go-server v0.1.0
	github.com/fanqie/tank-websocket-go-server/broker/nats v0.1.0
	github.com/nats-io/nats-server/v2 v2.14.4
	github.com/nats-io/nats.go v1.52.0
	go.uber.org/goleak v1.3.0
)

require (
	github.com/antithesishq/antithesis-sdk-go v0.7.2-default-no-op // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/klauspost/compress v1.19.0 // indirect
	github.com/minio/highwayhash v1.0.4 // indirect
	github.com/nats-io/jwt/v2 v2.8.2 // indirect
	github.com/nats-io/nkeys v0.4.16 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	golang.org/x/crypto v0.54.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/time v0.15.0 // indirect
)
