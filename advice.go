package tank

import "errors"

// advised is an error with a hint for whoever runs the program. The log shows it; the error's text, which may go elsewhere,
// does not have it.
type advised struct {
	error
	advice string
}

func (e advised) Unwrap() error { return e.error }

func advise(err error, advice string) error { return advised{err, advice} }

// adviceOf returns the hint that comes with an error, or "".
func adviceOf(err error) string {
	var a advised
	if errors.As(err, &a) {
		return a.advice
	}
	return ""
}

// The hints.
const (
	adviceStart       = "start the instance: go tkws.Start()"
	adviceConnections = "Limits.Connections is the limit"
	adviceUser        = "Limits.ConnectionsPerUser is the limit"
	adviceTopics      = "Limits.Subscriptions is the limit"
	adviceOrigin      = "to accept pages of that origin, set Upgrader.CheckOrigin, see WithUpgrader; localhost and 127.0.0.1 are different hosts; a proxy has to pass Host and X-Forwarded-Proto on"
	adviceHandshake   = "a WebSocket client is needed; a proxy has to pass Connection and Upgrade on"
	adviceHijack      = "middleware has to offer Unwrap or Hijack, see HandleConnection"
)
