package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Kind is the effect of a request on its session.
type Kind string

// The kinds of requests that concern a session.
const (
	Read   Kind = "read"   // GET /api/session
	Write  Kind = "write"  // POST /api/visits, which adds 1
	Cart   Kind = "cart"   // POST /api/cart/{sku}, which adds Quantity
	Login  Kind = "login"  // POST /login
	Logout Kind = "logout" // POST /logout
)

// Products returns the products of the sample application, without MarkProduct.
func Products() []string { return []string{"rubber-duck", "coffee", "pager", "cactus", "socks"} }

// MarkProduct is the product that a visitor puts into the cart to open a session. Its quantity identifies the visitor in
// every later response with the cart. No other request adds it.
const MarkProduct = "umbrella"

// The counters of a session: the visits, and the quantity of each product in the cart.
const (
	visits = iota
	firstProduct
	mark     = firstProduct + 5
	counters = mark + 1
)

type counts [counters]int64

// maxUser is the most bytes in the name of a user. The server accepts up to 64 characters.
const maxUser = 1000

// maxCount bounds a counter in a response, so that differences of counters don't overflow.
const maxCount = 1 << 60

var counterNames = [counters]string{"visits", "rubber-duck", "coffee", "pager", "cactus", "socks", MarkProduct}

// Request is a request of a visitor.
type Request struct {
	Kind     Kind          `json:"kind"`
	Product  string        `json:"product,omitempty"`  // for Cart
	Quantity int64         `json:"quantity,omitempty"` // for Cart
	Sent     time.Duration `json:"sent_ns"`            // from the start of the run
}

// counter returns the counter that the request adds to, and the quantity: 0 for kinds that add nothing.
func (r Request) counter() (index int, quantity int64) {
	switch r.Kind {
	case Write:
		return visits, 1
	case Cart:
		return slices.Index(counterNames[:], r.Product), r.Quantity
	}
	return visits, 0
}

func (r Request) path() string {
	switch r.Kind {
	case Read:
		return "GET /api/session"
	case Write:
		return "POST /api/visits"
	case Cart:
		return "POST /api/cart/" + r.Product
	}
	return "POST /" + string(r.Kind)
}

// Response is the response to a Request, or the error instead of one.
type Response struct {
	Received time.Duration   `json:"received_ns"`      // from the start of the run
	Server   string          `json:"server,omitempty"` // X-Served-By
	Status   int             `json:"status,omitempty"` // 0: no response came
	Error    string          `json:"error,omitempty"`  // why there is no usable response
	Body     json.RawMessage `json:"body,omitempty"`   // of a 200
	view     view
}

// view is the part of the session's state that a response shows.
type view struct {
	whole, cart, visits bool // whether it shows the whole session, the cart, the visits
	live                bool // when whole: whether there is a session
	user                string
	lifetime            time.Duration // when live: from its creation to its end
	counts              counts
}

// Parse sets the body of the response to a request of the kind, and extracts the state that it shows. The error says what
// the body lacks, or which value is out of bounds. The body null shows nothing; the response to a Read can't be null.
func (r *Response) Parse(kind Kind, body []byte) error {
	var content struct {
		Authenticated *bool            `json:"authenticated"`
		User          string           `json:"user"`
		Visits        *int64           `json:"visits"`
		Cart          map[string]int64 `json:"cart"`
		Created       *time.Time       `json:"created"`
		Expires       *time.Time       `json:"expires"`
	}
	if err := json.Unmarshal(body, &content); err != nil {
		return fmt.Errorf("the response is not the expected JSON: %w", err)
	}
	if len(content.User) > maxUser {
		return fmt.Errorf("the response has a user of %d bytes: allowed are %d at most", len(content.User), maxUser)
	}
	if string(bytes.TrimSpace(body)) == "null" && kind != Read {
		r.Body, r.view = body, view{}
		return nil
	}
	v := view{whole: kind != Write && kind != Cart, user: content.User}
	v.visits, v.cart = kind != Cart, kind != Write
	switch {
	case v.whole && content.Authenticated == nil, v.visits && content.Visits == nil, v.cart && content.Cart == nil:
		return errors.New("the response lacks the session, its visits or its cart")
	}
	v.live = content.Created != nil
	if v.live && content.Expires != nil {
		v.lifetime = min(content.Expires.Sub(*content.Created), maxRun) // negative if a clock was set back between them
	}
	if v.visits {
		v.counts[visits] = *content.Visits
	}
	for i, name := range counterNames[firstProduct:] {
		v.counts[firstProduct+i] = content.Cart[name]
	}
	for counter, n := range v.counts {
		if n < -maxCount || n > maxCount {
			return fmt.Errorf("the response has %s %d: allowed are %d at most", counterNames[counter], n, int64(maxCount))
		}
	}
	r.Body, r.view = body, v
	return nil
}

// shows reports whether the view includes the counter.
func (v view) shows(counter int) bool {
	if counter == visits {
		return v.visits
	}
	return v.cart
}

// Lifetime returns the time from the creation to the expiry of the session that the response shows; 0 when it shows none.
func (r Response) Lifetime() time.Duration { return r.view.lifetime }
