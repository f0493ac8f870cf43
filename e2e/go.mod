module github.com/fanqie/tank-websocket-go-server/e2e

go 1.25.0

require (
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
	github.com/coder/websocket v1.8.15
	github.com/fanqie/tank-websocket-go-server v0.1.0
)

replace github.com/fanqie/tank-websocket-go-server => ../

require (
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	github.com/google/uuid v1.6.0 // indirect
)
