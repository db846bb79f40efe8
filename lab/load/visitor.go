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

// visitor is somebody with a browser, who opens a session, uses it, logs out, and comes again.
type visitor struct {
	index  int
	checks check.Run

	mu      sync.Mutex
	number  int // of the session
	session *check.Session
	jar     *cookies
	dead    string // the cookies that the logout was sent with
}

// outgoing is a request to be sent.
type outgoing struct {
	visitor *visitor
	op      *check.Op // nil for none
	kind    check.Kind
	method  string
	path    string
	form    string // the body
	jar     *cookies
	cookies string
}

func newVisitor(index int, checks check.Run) *visitor {
	v := &visitor{index: index, checks: checks, jar: &cookies{}}
	v.session = checks.Session(index, 0)
	return v
}

// next is a request of the kind, or of one that the state of the visitor's session allows instead.
func (v *visitor) next(kind check.Kind, openByLogin bool, now func() time.Duration) outgoing {
	v.mu.Lock()
	defer v.mu.Unlock()
	if kind == none {
		return outgoing{visitor: v, kind: none, method: http.MethodGet, path: "/none", jar: v.jar, cookies: v.jar.header}
	}
	if v.session.Stage() == check.Over {
		v.number++
		v.session = v.checks.Session(v.index, v.number)
		v.jar = v.jar.nextVisit()
	}
	request := check.Request{Kind: check.Read}
	cookies := v.jar.header
	switch v.session.Stage() {
	case check.Fresh:
		request = v.opening(openByLogin)
	case check.Confirm:
		request = v.session.Confirmation()
	case check.Ended:
		cookies = v.dead
	case check.Open:
		if change := kind == check.Login || kind == check.Logout; !change || !v.session.Changing() {
			request.Kind = kind
		}
		if request.Kind == check.Cart {
			// #nosec G404 -- which product
			request.Product, request.Quantity = check.Products()[rand.IntN(len(check.Products()))], 1
		}
	}
	if request.Kind == check.Logout {
		v.dead = cookies
	}
	request.Sent = now()
	o := outgoing{visitor: v, op: v.session.Send(request), kind: request.Kind, jar: v.jar, cookies: cookies}
	o.address(request, v.session.Name)
	return o
}

// mostPieces bounds what one request puts into the cart; the server refuses more.
const mostPieces = 1000

// opening begins the session: with the visitor's mark in the cart, or with a login, where the store keeps nothing else.
func (v *visitor) opening(byLogin bool) check.Request {
	if byLogin {
		return check.Request{Kind: check.Login}
	}
	serial := v.index*31 + v.number // neighbours differ, and so do sessions that follow each other
	return check.Request{Kind: check.Cart, Product: check.MarkProduct, Quantity: int64(1 + serial%mostPieces)}
}

// address says how the request goes over the wire.
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

// receive has the answer judged, and tells whether it is one that a correct server may give.
func (o *outgoing) receive(a check.Answer, setCookie []string, now func() time.Duration) bool {
	o.visitor.mu.Lock()
	defer o.visitor.mu.Unlock()
	o.jar.apply(setCookie)
	if o.op == nil {
		return a.Error == "" && a.Status == http.StatusOK
	}
	// Taken here, so that the order of times is the order in which the visitor's requests were sent and answered.
	a.Received = now()
	return o.op.Receive(a)
}

// stage is that of the visitor's session.
func (v *visitor) stage() check.Stage {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.session.Stage()
}

// busy tells whether requests of the visitor's session are under way.
func (v *visitor) busy() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.session.InFlight() > 0
}

func (v *visitor) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.session.Close()
}
