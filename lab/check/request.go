package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Kind is what a request does to its session.
type Kind string

// The kinds of requests that concern a session.
const (
	Read   Kind = "read"   // GET /api/session
	Write  Kind = "write"  // POST /api/visits, which adds 1
	Cart   Kind = "cart"   // POST /api/cart/{sku}, which adds Quantity
	Login  Kind = "login"  // POST /login
	Logout Kind = "logout" // POST /logout
)

// Products are what the shop sells, but for MarkProduct.
func Products() []string { return []string{"rubber-duck", "coffee", "pager", "cactus", "socks"} }

// MarkProduct is what a visitor opens a session with: how many pieces says whose session it is. Nothing else buys it.
const MarkProduct = "umbrella"

// The counters of a session: the visits and the lines of the cart.
const (
	visits = iota
	firstProduct
	mark     = firstProduct + 5
	counters = mark + 1
)

type counts [counters]int64

// maxUser bounds the name of a user, in bytes; the server takes 64 characters.
const maxUser = 1000

// maxCount bounds what an answer may show of a counter: differences of such numbers don't overflow.
const maxCount = 1 << 60

var counterNames = [counters]string{"visits", "rubber-duck", "coffee", "pager", "cactus", "socks", MarkProduct}

// Request is what a visitor sent.
type Request struct {
	Kind     Kind          `json:"kind"`
	Product  string        `json:"product,omitempty"`  // of Cart
	Quantity int64         `json:"quantity,omitempty"` // of Cart
	Sent     time.Duration `json:"sent_ns"`            // from the start of the run
}

// counter is what the request adds to, and how much; nothing for other kinds.
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

// Answer is what the visitor got.
type Answer struct {
	Received time.Duration   `json:"received_ns"`      // from the start of the run
	Server   string          `json:"server,omitempty"` // X-Served-By
	Status   int             `json:"status,omitempty"` // 0: none came
	Error    string          `json:"error,omitempty"`  // why there is no usable answer
	Body     json.RawMessage `json:"body,omitempty"`   // of a 200
	view     view
}

// view is what an answer shows of the session.
type view struct {
	whole, cart, visits bool // what it shows: all of it, at least the cart, at least the visits
	live                bool // when whole: there is a session
	user                string
	lifetime            time.Duration // when live: from its creation to its end
	counts              counts
}

// Read makes the answer's Body known to the checker. The error says what the body lacks.
func (a *Answer) Read(kind Kind, body []byte) error {
	var content struct {
		Authenticated *bool            `json:"authenticated"`
		User          string           `json:"user"`
		Visits        *int64           `json:"visits"`
		Cart          map[string]int64 `json:"cart"`
		Created       *time.Time       `json:"created"`
		Expires       *time.Time       `json:"expires"`
	}
	if err := json.Unmarshal(body, &content); err != nil {
		return fmt.Errorf("the answer is not the JSON that it should be: %w", err)
	}
	if len(content.User) > maxUser {
		return fmt.Errorf("the answer has a user of %d bytes: allowed are %d at most", len(content.User), maxUser)
	}
	v := view{whole: kind != Write && kind != Cart, user: content.User}
	v.visits, v.cart = kind != Cart, kind != Write
	switch {
	case v.whole && content.Authenticated == nil, v.visits && content.Visits == nil, v.cart && content.Cart == nil:
		return errors.New("the answer lacks the session, its visits or its cart")
	}
	v.live = content.Created != nil
	if v.live && content.Expires != nil {
		v.lifetime = min(content.Expires.Sub(*content.Created), maxRun) // negative where a clock was set back between them
	}
	if v.visits {
		v.counts[visits] = *content.Visits
	}
	for i, name := range counterNames[firstProduct:] {
		v.counts[firstProduct+i] = content.Cart[name]
	}
	for counter, n := range v.counts {
		if n < -maxCount || n > maxCount {
			return fmt.Errorf("the answer has %s %d: allowed are %d at most", counterNames[counter], n, int64(maxCount))
		}
	}
	a.Body, a.view = body, v
	return nil
}

// shows reports whether the answer shows that counter.
func (v view) shows(counter int) bool {
	if counter == visits {
		return v.visits
	}
	return v.cart
}

// Lifetime is how long the session that the answer shows lasts from its creation to its end; 0 when it shows none.
func (a Answer) Lifetime() time.Duration { return a.view.lifetime }
