package load

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"stateless-servers/lab/check"
)

// none is the kind of requests without a session: GET /none.
const none check.Kind = "none"

// kinds returns the kinds of requests in the order of a Mix.
func kinds() []check.Kind {
	return []check.Kind{none, check.Read, check.Write, check.Cart, check.Login, check.Logout}
}

// Mix has the weights of the kinds of requests: none, read, write, cart, login, logout, in this order.
type Mix [6]int

// DefaultMix returns the mix of a typical shop: mostly reads, with an occasional login or logout.
func DefaultMix() Mix { return Mix{10, 45, 25, 15, 3, 2} }

const maxWeight = 1000

// MixSyntax describes the syntax of a Mix, for help and error messages.
const MixSyntax = "weights of none, read, write, cart, login and logout, such as read=80,write=20; each from 0 to 1000, " +
	"0 by default"

// ParseMix parses a Mix in the syntax that MixSyntax describes. It reports whether the text is valid.
func ParseMix(text string) (Mix, bool) {
	var mix Mix
	named := map[string]bool{}
	for part := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(part, "=")
		kind := slices.Index(kinds(), check.Kind(name))
		weight, err := strconv.Atoi(number)
		if kind < 0 || err != nil || weight < 0 || weight > maxWeight || named[name] {
			return Mix{}, false
		}
		named[name] = true
		mix[kind] = weight
	}
	return mix, mix.sum() > 0
}

// String formats the mix for ParseMix.
func (m Mix) String() string {
	var parts []string
	for i, weight := range m {
		if weight > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", kinds()[i], weight))
		}
	}
	return strings.Join(parts, ",")
}

func (m Mix) sum() int {
	sum := 0
	for _, weight := range m {
		sum += weight
	}
	return sum
}

// draw returns a random kind, with the probabilities of the mix.
func (m Mix) draw() check.Kind {
	n := rand.IntN(m.sum()) // #nosec G404 -- which request comes next
	for i, weight := range m {
		if n < weight {
			return kinds()[i]
		}
		n -= weight
	}
	panic("unreachable: n is below the sum of the weights")
}
