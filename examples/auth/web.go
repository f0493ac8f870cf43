package main

import (
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/web"
)

//go:embed page.html
var page []byte

const (
	cookieName = "session"
	bearer     = "bearer." // begins the subprotocol that is a token
)

// account is a demo user: who may log in, and as what.
type account struct{ password, role string }

var accounts = map[string]account{
	"alice": {"wonderland", "customer"},
	"root":  {"toor", "admin"},
}

// login is what a page is told about its session. Times are from now on, because its clock may be wrong.
type login struct {
	User      string  `json:"user"`
	Role      string  `json:"role"`
	ExpiresIn float64 `json:"expires_in"` // seconds
	Lifetime  float64 `json:"lifetime"`   // of a token, seconds
	Token     string  `json:"token,omitempty"`
}

// loginOf leaves out a token that belongs in a cookie: scripts are not to have it.
func (s *service) loginOf(who claims, token string) login {
	if who.Cookie {
		token = ""
	}
	return login{who.User, who.Role, time.Until(who.Expires).Seconds(), s.sessions.lifetime.Seconds(), token}
}

// tokenOf takes the token of a request from the subprotocols, which are all that a page can say in a handshake beside the
// address; or from the header Authorization, which it can set elsewhere; or else from the cookie. A cookie comes along with
// requests that other sites' pages make, too: the origin check of the instance and http.CrossOriginProtection keep those out.
func tokenOf(r *http.Request) (token string, inCookie bool) {
	for offer := range strings.SplitSeq(strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ","), ",") {
		if token, ok := strings.CutPrefix(strings.TrimSpace(offer), bearer); ok {
			return token, false
		}
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return token, false
	}
	if cookie, err := r.Cookie(cookieName); err == nil {
		return cookie.Value, true
	}
	return "", false
}

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /ws", s.tkws)
	mux.HandleFunc("POST /login", s.logIn)
	mux.HandleFunc("GET /session", s.session)
	mux.HandleFunc("POST /renew", s.renew)
	mux.HandleFunc("POST /logout", s.logOut)
	web.Handle(mux) // what page.html asks for
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "frame-ancestors 'none'") // no other site's page shows it as its own
		w.Write(page)
	})
	return http.NewCrossOriginProtection().Handler(mux) // other sites' pages do not log anybody in or out
}

// logIn begins a session. The form says where its token goes: into a cookie, or to the page with the answer.
func (s *service) logIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	name, given := r.PostFormValue("name"), sha256.Sum256([]byte(r.PostFormValue("password")))
	a, known := accounts[name]
	want := sha256.Sum256([]byte(a.password))
	if right := subtle.ConstantTimeCompare(given[:], want[:]) == 1; !known || !right { // both looked at, whichever is wrong
		http.Error(w, "wrong name or password", http.StatusUnauthorized)
		return
	}
	who, token := s.sessions.begin(name, a.role, r.PostFormValue("way") == "cookie")
	s.answer(w, r, who, token)
}

// session tells who is logged in, or nothing: for a page that is opened again or has lost its connection.
func (s *service) session(w http.ResponseWriter, r *http.Request) {
	token, _ := tokenOf(r)
	who, err := s.sessions.check(token)
	if err != nil {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	writeJSON(w, s.loginOf(who, ""))
}

// renew answers with a new token. A page sends it over its connection. A cookie is no script's to send, so the connections of its session
// go on at once, and are told.
func (s *service) renew(w http.ResponseWriter, r *http.Request) {
	token, _ := tokenOf(r)
	who, err := s.sessions.check(token)
	if err != nil {
		http.Error(w, "not logged in", http.StatusUnauthorized)
		return
	}
	who, token = s.sessions.renew(who)
	s.answer(w, r, who, token)
	for _, c := range s.tkws.GetAllClients() {
		if of, _ := tank.ValueOf[claims](c); who.Cookie && of.Session == who.Session {
			s.renewConnection(c, who)
		}
	}
}

// answer hands over a new token.
func (s *service) answer(w http.ResponseWriter, r *http.Request, who claims, token string) {
	if who.Cookie {
		setCookie(w, r, token, s.sessions.lifetime)
	}
	writeJSON(w, s.loginOf(who, token))
}

func writeJSON(w http.ResponseWriter, l login) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(l) // whoever asked may have gone
}

// logOut takes back all tokens of the user that the token is of, and closes all of that user's connections.
func (s *service) logOut(w http.ResponseWriter, r *http.Request) {
	token, inCookie := tokenOf(r)
	who, err := s.sessions.check(token)
	if inCookie {
		setCookie(w, r, "", -time.Second)
	}
	if err != nil {
		http.Error(w, "not logged in", http.StatusUnauthorized)
		return
	}
	s.sessions.logOut(who.User) // before the connections: one that comes later is refused, by the authenticator or by connected
	s.tkws.CloseUser(who.User)
	w.WriteHeader(http.StatusNoContent)
}

// setCookie gives the browser a token that scripts cannot read and that other sites' forms do not send along.
func setCookie(w http.ResponseWriter, r *http.Request, token string, lifetime time.Duration) {
	outermost, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",") // of several proxies
	secure := r.TLS != nil || strings.EqualFold(outermost, "https")
	http.SetCookie(w, &http.Cookie{ // #nosec G124 -- a demo runs without TLS, too
		Name: cookieName, Value: token, Path: "/", MaxAge: int(lifetime.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure,
	})
}
