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
	index   int
	checks  check.Run
	byLogin bool                 // sessions begin with a login, for the store changes none after
	now     func() time.Duration // from the start of the run

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

func newVisitor(index int, checks check.Run, byLogin bool, now func() time.Duration) *visitor {
	v := &visitor{index: index, checks: checks, byLogin: byLogin, now: now, jar: &cookies{}}
	v.session = checks.Session(index, 0)
	return v
}

// next is a request of the kind, or of one that the state of the visitor's session allows instead.
func (v *visitor) next(kind check.Kind) outgoing {
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
		request = v.opening()
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
	request.Sent = v.now()
	o := outgoing{visitor: v, op: v.session.Send(request), kind: request.Kind, jar: v.jar, cookies: cookies}
	o.address(request, v.session.Name)
	return o
}

// maxPieces bounds what one request puts into the cart; the server refuses more.
const maxPieces = 1000

// opening begins the session: with the visitor's mark in the cart, or with a login, where the store keeps nothing else.
func (v *visitor) opening() check.Request {
	if v.byLogin {
		return check.Request{Kind: check.Login}
	}
	serial := v.index*31 + v.number // neighbours differ, and so do sessions that follow each other
	return check.Request{Kind: check.Cart, Product: check.MarkProduct, Quantity: int64(1 + serial%maxPieces)}
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

// receive has the visitor look at the reply, and the checker judge it. It returns the class of the error, or "" where a
// correct server may answer so.
func (o *outgoing) receive(r reply) (failed string) {
	body := r.Body
	r.Body = nil
	if o.op != nil && r.Error == "" && r.Status == http.StatusOK {
		if err := r.Read(o.kind, body); err != nil {
			r.Error = errUnreadable
		}
	}
	v := o.visitor
	v.mu.Lock()
	defer v.mu.Unlock()
	o.jar.apply(r.setCookie)
	ok := r.Error == "" && r.Status == http.StatusOK
	if o.op != nil {
		r.Received = v.now() // under the lock, so that times are in the order in which answers arrived
		ok = o.op.Receive(r.Answer)
	}
	switch {
	case ok:
		return ""
	case r.Error != "":
		return r.Error
	}
	return fmt.Sprintf("http_%d", r.Status)
}

// stage is that of the visitor's session.
func (v *visitor) stage() check.Stage {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.session.Stage()
}

// busy reports whether requests of the visitor's session are under way.
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
