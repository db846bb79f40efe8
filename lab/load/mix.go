package load

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"stateless-servers/lab/check"
)

// none is the kind of request that concerns no session: GET /none.
const none check.Kind = "none"

// kinds are those that a Mix knows, in its order.
func kinds() []check.Kind {
	return []check.Kind{none, check.Read, check.Write, check.Cart, check.Login, check.Logout}
}

// Mix is what share of the requests are of which kind: weights, in the order none, read, write, cart, login, logout.
type Mix [6]int

// DefaultMix is a shop on a normal day: mostly reads, now and then a login or a logout.
func DefaultMix() Mix { return Mix{10, 45, 25, 15, 3, 2} }

const maxWeight = 1000

// MixSyntax says how a Mix is written.
const MixSyntax = "weights of none, read, write, cart, login and logout, such as read=80,write=20; each from 0 to 1000, " +
	"what isn't named is 0"

// ParseMix reads what MixForm says.
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

// String writes the mix as ParseMix reads it.
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

// draw chooses a kind.
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
