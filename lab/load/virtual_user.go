package load

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"stateless-servers/lab/check"
)

// virtualUser simulates a visitor, who opens a session, uses it, logs out, and comes back with a new session.
type virtualUser struct {
	index   int
	checker check.Checker
	target  probed
	now     func() time.Duration // from the start of the run

	mu           sync.Mutex
	number       int // of the user's present session
	session      *check.Session
	jar          *cookies
	endedCookies string // the cookies of the logout request
}

// outgoing is a request to send.
type outgoing struct {
	user    *virtualUser
	op      *check.Op // nil for a request without a session
	kind    check.Kind
	method  string
	path    string
	form    string // the body
	jar     *cookies
	cookies string
}

func newVirtualUser(index int, checker check.Checker, target probed, now func() time.Duration) *virtualUser {
	u := &virtualUser{index: index, checker: checker, target: target, now: now, jar: &cookies{}}
	u.session = checker.NewSession(index, 0)
	return u
}

// next returns a request of the kind, or of another kind that the stage of the user's session requires.
func (u *virtualUser) next(kind check.Kind) outgoing {
	u.mu.Lock()
	defer u.mu.Unlock()
	if kind == none {
		path := "/none"
		if u.target.contract {
			path = "/healthz"
		}
		return outgoing{user: u, kind: none, method: http.MethodGet, path: path, jar: u.jar, cookies: u.jar.header}
	}
	if u.session.Stage() == check.Done {
		u.number++
		u.session = u.checker.NewSession(u.index, u.number)
		u.jar = u.jar.nextVisit()
	}
	request := check.Request{Kind: check.Read}
	cookies := u.jar.header
	switch u.session.Stage() {
	case check.Fresh:
		request = u.opening()
	case check.Confirming:
		request = u.session.Confirmation()
	case check.LoggedOut:
		cookies = u.endedCookies
	case check.Open:
		if transition := kind == check.Login || kind == check.Logout; !transition || !u.session.InTransition() {
			request.Kind = kind
		}
		if request.Kind == check.Cart {
			// #nosec G404 -- which product
			request.Product, request.Quantity = check.Products()[rand.IntN(len(check.Products()))], 1
		}
	}
	if request.Kind == check.Logout {
		u.endedCookies = cookies
	}
	request.Sent = u.now()
	o := outgoing{user: u, op: u.session.Send(request), kind: request.Kind, jar: u.jar, cookies: cookies}
	o.address(request, u.session.User)
	return o
}

// maxPieces bounds the quantity of one request; the server refuses more.
const maxPieces = 1000

// opening returns the request that opens the session. It puts MarkProduct into the cart, or logs in where the store keeps no
// changes after the login.
func (u *virtualUser) opening() check.Request {
	if u.target.byLogin {
		return check.Request{Kind: check.Login}
	}
	serial := u.index*31 + u.number // differs between neighbouring users, and between successive sessions of one
	return check.Request{Kind: check.Cart, Product: check.MarkProduct, Quantity: int64(1 + serial%maxPieces)}
}

// address sets the method, path and form of the request.
func (o *outgoing) address(r check.Request, user string) {
	o.method = http.MethodPost
	switch r.Kind {
	case check.Read:
		o.method, o.path = http.MethodGet, "/api/session"
	case check.Write:
		o.path = "/api/visits"
	case check.Cart:
		o.path, o.form = "/api/cart/"+r.Product, fmt.Sprintf("quantity=%d", r.Quantity)
	case check.Login:
		o.path, o.form = "/login", url.Values{"user": {user}}.Encode()
	case check.Logout:
		o.path = "/logout"
	}
}

// receive stores the cookies of the response and passes it to the checker. It returns the class of the error, or "" if a
// correct server may give this response.
func (o *outgoing) receive(r response) (failed string) {
	body := r.Body
	r.Body = nil
	if o.op != nil && r.Error == "" && r.Status == http.StatusOK {
		if o.user.target.contract {
			body = contractBody(o.kind, body)
		}
		if err := r.Parse(o.kind, body); err != nil {
			r.Error = errUnreadable
		}
	}
	u := o.user
	u.mu.Lock()
	defer u.mu.Unlock()
	o.jar.apply(r.setCookie)
	ok := r.Error == "" && r.Status == http.StatusOK
	if o.op != nil {
		r.Received = u.now() // under the lock, so that times are in the order of the responses
		ok = o.op.Receive(r.Response)
	}
	switch {
	case ok:
		return ""
	case r.Error != "":
		return r.Error
	}
	return fmt.Sprintf("http_%d", r.Status)
}

// stage returns the stage of the user's session.
func (u *virtualUser) stage() check.Stage {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.session.Stage()
}

// busy reports whether requests of the user's session are in flight.
func (u *virtualUser) busy() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.session.InFlight() > 0
}

func (u *virtualUser) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.session.Close()
}
