package test

import (
	"testing"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// TestOriginBehindProxies sends what proxies send on for the handshake of a page at https://chat.example.com, as each is
// configured in docs/deployment.md, and as some are without that.
func TestOriginBehindProxies(t *testing.T) {
	const (
		welcome = 101
		refused = 403

		host   = "Host: chat.example.com\r\n"
		origin = "Origin: https://chat.example.com\r\n"
	)
	bubble(t, func(t *testing.T) {
		s := serve(t)
		for _, c := range []struct {
			name, headers string
			want          int
		}{
			{"nginx, as on the page", host + origin + "X-Forwarded-Proto: https\r\n", welcome},
			{"nginx without X-Forwarded-Proto", host + origin, refused},
			{"nginx without Host", "Host: 127.0.0.1:8080\r\n" + origin + "X-Forwarded-Proto: https\r\n", refused},

			{"Caddy", host + origin + "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: chat.example.com\r\nX-Forwarded-Proto: https\r\n", welcome},

			{"Traefik with TLS", host + origin + "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: chat.example.com\r\nX-Forwarded-Port: 443\r\n" +
				"X-Forwarded-Proto: wss\r\nX-Forwarded-Server: 0a1b2c\r\nX-Real-Ip: 192.0.2.7\r\n", welcome},
			{"Traefik without TLS", host + "Origin: http://chat.example.com\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: chat.example.com\r\n" +
				"X-Forwarded-Port: 80\r\nX-Forwarded-Proto: ws\r\nX-Forwarded-Server: 0a1b2c\r\nX-Real-Ip: 192.0.2.7\r\n", welcome},
			{"Traefik with TLS, a page without", host + "Origin: http://chat.example.com\r\nX-Forwarded-Proto: wss\r\n", refused},
			{"Traefik without TLS, a page with", host + origin + "X-Forwarded-Proto: ws\r\n", refused},
			{"Traefik with passHostHeader false", "Host: 10.0.0.7:8080\r\n" + origin + "X-Forwarded-Host: chat.example.com\r\nX-Forwarded-Port: 443\r\n" +
				"X-Forwarded-Proto: wss\r\n", refused},

			{"Envoy", "host: chat.example.com\r\norigin: https://chat.example.com\r\nx-forwarded-proto: https\r\n" +
				"x-request-id: 7c1a0f3e-0f5e-4a8e-9d9e-2f6d6a3b1c2d\r\nx-envoy-expected-rq-timeout-ms: 15000\r\n", welcome},
			{"Envoy with auto_host_rewrite", "host: chat.internal\r\norigin: https://chat.example.com\r\nx-forwarded-proto: https\r\n", refused},

			{"an AWS ALB", "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n" + host +
				"X-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678\r\n" + origin, welcome},
			{"an AWS ALB, listening at another port", "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 8443\r\n" +
				"Host: chat.example.com:8443\r\nOrigin: https://chat.example.com:8443\r\n", welcome},

			{"Cloudflare", host + "Accept-Encoding: gzip, br\r\nX-Forwarded-For: 192.0.2.7\r\nCF-RAY: 8a1b2c3d4e5f6789-FRA\r\nX-Forwarded-Proto: https\r\n" +
				"CF-Visitor: {\"scheme\":\"https\"}\r\n" + origin + "CF-Connecting-IP: 192.0.2.7\r\nCDN-Loop: cloudflare; loops=1\r\nCF-IPCountry: DE\r\n", welcome},
			{"Cloudflare before Traefik that trusts it", host + origin + "X-Forwarded-Proto: wss\r\nX-Forwarded-For: 192.0.2.7, 198.51.100.1\r\n" +
				"CF-Visitor: {\"scheme\":\"https\"}\r\n", welcome},
			{"Cloudflare before nginx without TLS, as on the page", host + origin + "X-Forwarded-Proto: http\r\nCF-Visitor: {\"scheme\":\"https\"}\r\n", refused},

			{"a proxy that appends", host + origin + "X-Forwarded-Proto: https, http\r\n", welcome},
			{"a proxy that appends, after Traefik", host + origin + "X-Forwarded-Proto: WSS , http\r\n", welcome},
			{"a proxy that appends, the outermost without TLS", host + origin + "X-Forwarded-Proto: http, https\r\n", refused},
			{"a scheme that nobody knows", host + origin + "X-Forwarded-Proto: wsss\r\n", refused},

			// The dev server is at http://localhost:5173, the instance at 127.0.0.1:8080. These are the headers that version 7 was seen to send.
			{"Vite", "host: localhost:5173\r\norigin: http://localhost:5173\r\n", welcome},
			{"Vite with changeOrigin", "host: 127.0.0.1:8080\r\norigin: http://localhost:5173\r\n", refused},
			{"Vite with changeOrigin and rewriteWsOrigin", "host: 127.0.0.1:8080\r\norigin: http://127.0.0.1:8080\r\n", welcome},
			{"Vite with both and a target ws://", "host: 127.0.0.1:8080\r\norigin: ws://127.0.0.1:8080\r\n", refused},
			{"nginx behind a load balancer, as on the page", host + origin + "X-Forwarded-Proto: https\r\nCF-Visitor: {\"scheme\":\"https\"}\r\n", welcome},
			{"Vite with rewriteWsOrigin", "host: localhost:5173\r\norigin: http://127.0.0.1:8080\r\n", refused},
		} {
			conn, resp := s.raw("GET /ws HTTP/1.1\r\n"+c.headers+wstest.UpgradeHeader+"\r\n", defaultBuffer)
			conn.Close()
			if resp.StatusCode != c.want {
				t.Errorf("%s: answered with %s, want %d", c.name, resp.Status, c.want)
			}
			if c.want == refused {
				mustBe(t, s.expectError(tank.CodeUpgrade), tank.ErrForbidden)
			} else {
				s.expectError(tank.CodeRead) // the connection has been closed
			}
		}
	})
}
