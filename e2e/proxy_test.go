package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

// The page finds its socket behind a proxy that ends TLS and puts everything under a path of its own, and the server
// takes the page's origin for its own, given Host and X-Forwarded-Proto.
func TestBehindTLSProxyUnderAPath(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewTLSServer(http.StripPrefix("/apps/chat", &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
	}))
	t.Cleanup(proxy.Close)
	t.Cleanup(proxy.CloseClientConnections)

	proxied := *s
	proxied.url = proxy.URL + "/apps/chat/"
	ada, bo := openChat(t, &proxied, "Ada", look{}), openChat(t, s, "Bo", look{})
	if got := eval[string](ada, `location.protocol + location.pathname`); got != "https:/apps/chat/" {
		t.Errorf("the page is at %s", got)
	}
	ada.write("composer", "through the proxy")
	bo.waitMessage("Ada", "through the proxy")
	bo.write("composer", "and back")
	ada.waitMessage("Bo", "and back")
}
