package cost

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/sessiontest/must"
)

// golden reads the checked-in templates of a variant that the tests of package stacks keep up to date.
func golden(t *testing.T, name string) []Template {
	t.Helper()
	var list []Template
	for _, file := range []string{"network-lab-2-zones-nat-gateway", name} {
		template := must.Get(ReadTemplate(filepath.Join("..", "..", "stacks", "testdata", file+".json"), file))(t)
		list = append(list, template)
	}
	return list
}

func estimator(t *testing.T) Estimator {
	t.Helper()
	prices := must.Get(DefaultPrices())(t)
	counts := must.Get(LibraryCounts())(t)
	return Estimator{DefaultRegion, prices, counts}
}

var usual = Traffic{RequestsPerSecond: 100, Sessions: 10_000, SessionBytes: 500, ReadsPerWrite: 4, Untouched: 0.5,
	ResponseBytes: 1000, IdleTimeout: 30 * time.Minute}

// usd returns the cost of the lines whose text begins with what.
func usd(b Bill, what string) float64 {
	sum := 0.0
	for _, line := range b.Lines {
		if strings.HasPrefix(line.What, what) {
			sum += line.USD
		}
	}
	return sum
}

func TestBillsOfTheVariants(t *testing.T) {
	e := estimator(t)
	const hours = 730
	tests := []struct {
		variant, line string
		want          float64
	}{
		{"dynamodb", "2 × t4g.small", 2 * 0.0168 * hours},
		{"dynamodb", "disks", 2 * 8 * 0.08},
		{"dynamodb", "load balancer", 0.0225 * hours},
		{"dynamodb", "public IPv4", 3 * 0.005 * hours},
		{"dynamodb", "NAT gateway", 0.045 * hours},
		{"dynamodb", "detailed monitoring", 2 * 7 * 0.30},
		{"valkey", "valkey, 2 × cache.t4g.micro", 2 * 0.0128 * hours},
		{"valkey-cluster", "valkey, 6 × cache.t4g.micro", 6 * 0.0128 * hours},
		{"redis", "redis, 2 × cache.t4g.micro", 2 * 0.016 * hours},
		{"memcached", "memcached, 2 × cache.t4g.micro", 2 * 0.016 * hours},
		{"memcached-serverless", "memcached serverless, data", 0.125 * hours}, // the minimum that is billed
		{"postgres", "Aurora, 2 × 0.5 capacity units", 2 * 0.5 * 0.12 * hours},
		{"cookie", "secret", 0.40},
		{"dynamodb-provisioned", "customer key", 1},
		{"memory", "secret", 0},
	}
	for _, test := range tests {
		t.Run(test.variant+" "+test.line, func(t *testing.T) {
			if got := usd(e.Bill(golden(t, test.variant), usual), test.line); math.Abs(got-test.want) > 0.001 {
				t.Errorf("%.3f USD, want %.3f", got, test.want)
			}
		})
	}
}

// A session of 500 bytes is an item of 598: one unit a write, one a read.
func TestOnDemandUnitsFollowTheTraffic(t *testing.T) {
	e, traffic := estimator(t), usual
	traffic.Sessions = 0 // no session starts or is extended: 40 reads and 10 writes per second
	bill := e.Bill(golden(t, "dynamodb"), traffic)
	if got, want := usd(bill, "read request units"), 40*0.125*730*3600/1e6; math.Abs(got-want) > 1e-6 {
		t.Errorf("reads cost %v, want %v", got, want)
	}
	if got, want := usd(bill, "write request units"), 10*0.625*730*3600/1e6; math.Abs(got-want) > 1e-6 {
		t.Errorf("writes cost %v, want %v", got, want)
	}
	traffic.SessionBytes = 1000 // an item of 1098 bytes: two units a write
	if got, want := usd(e.Bill(golden(t, "dynamodb"), traffic), "write request units"), 2*usd(bill, "write request units"); math.Abs(got-want) > 1e-6 {
		t.Errorf("larger writes cost %v, want %v", got, want)
	}
}

// A login of a session of 500 bytes is a read and a transaction of two items and an entry of the index, two units each.
func TestLoginsAreTransactions(t *testing.T) {
	e, without := estimator(t), usual
	with := without
	with.Logins = 0.5
	logins := 0.5 * usual.Sessions / usual.IdleTimeout.Seconds()
	template := golden(t, "dynamodb")
	units := func(what string, price float64) float64 {
		return (usd(e.Bill(template, with), what) - usd(e.Bill(template, without), what)) / (price * 730 * 3600 / 1e6)
	}
	if got, want := units("read request units", 0.125), logins; math.Abs(got-want) > 1e-6 {
		t.Errorf("logins read %v units per second, want %v", got, want)
	}
	if got, want := units("write request units", 0.625), logins*(6-1); math.Abs(got-want) > 1e-6 { // in place of a write
		t.Errorf("logins write %v units more per second, want %v", got, want)
	}
}

func TestFleetFollowsTheRequests(t *testing.T) {
	e, traffic := estimator(t), usual
	for rate, want := range map[float64]float64{1: 2, 1000: 2, 1001: 3, 3000: 6} {
		if got := e.Bill(golden(t, "memory"), traffic.Scaled(rate/100)).Servers; got != want {
			t.Errorf("%v servers for %v requests/s, want %v", got, rate, want)
		}
	}
	bill := e.Bill(golden(t, "memory"), traffic.Scaled(31))
	if bill.Servers != 7 || len(bill.Limits) != 1 || !strings.Contains(bill.Limits[0], "maxServers is 6") {
		t.Errorf("%v servers and the limits %v, want 7 and a limit that names maxServers", bill.Servers, bill.Limits)
	}
}

func TestEveryResourceOfEveryVariantIsPricedOrNamed(t *testing.T) {
	files, err := filepath.Glob("../../stacks/testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden templates", err)
	}
	for _, file := range files {
		template := must.Get(ReadTemplate(file, file))(t)
		var want []string
		if filepath.Base(file) == "valkey-durable.json" {
			want = []string{durableWrites}
		}
		if bill := estimator(t).Bill([]Template{template}, usual); !slices.Equal(bill.NotPriced, want) {
			t.Errorf("%s: no price for %q, want %q", file, bill.NotPriced, want)
		}
	}
}

func TestBillNamesResourcesWithoutPrice(t *testing.T) {
	template := Template{Name: "x", Resources: map[string]Resource{
		"A": {Type: "AWS::Neptune::DBCluster"},
		"B": {Type: "AWS::DAX::Cluster", Properties: map[string]any{"NodeType": "dax.r9.large", "ReplicationFactor": 3.0}},
	}}
	bill := estimator(t).Bill([]Template{template}, usual)
	if len(bill.NotPriced) != 2 || bill.NotPriced[0] != "AWS::DAX::Cluster (no price dax:dax.r9.large in us-east-1)" ||
		bill.NotPriced[1] != "AWS::Neptune::DBCluster" || bill.Total != 0 {
		t.Errorf("%q, %v USD", bill.NotPriced, bill.Total)
	}
}

// The formula must agree with the number of extensions that the library makes for requests at random times.
func TestExtensionRateMatchesTheLibrary(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, rates := range []struct{ read, write float64 }{{1. / 300, 1. / 3000}, {1. / 300, 1. / 900}, {1. / 150, 1. / 10_000}} {
		now, touches := time.Unix(1_000_000_000, 0), 0
		manager, err := session.New(memory.New(), session.Options{
			PlainHTTP: true, Now: func() time.Time { return now }, Lifetime: 100_000 * time.Hour,
			IdleTimeout: 1000 * time.Hour, // no session ends during the test
			Observer:    countTouches{&touches},
		})
		must.Succeed(t, err)
		key := session.Key[int]("k")
		handler := manager.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				key.Set(r.Context(), 1)
			} else {
				key.Get(r.Context())
			}
		}))
		var cookies []*http.Cookie
		send := func(method string) {
			request := httptest.NewRequest(method, "/", nil)
			for _, c := range cookies {
				request.AddCookie(c)
			}
			recorded := httptest.NewRecorder()
			handler.ServeHTTP(recorded, request)
			cookies = append(cookies, recorded.Result().Cookies()...)
		}
		send(http.MethodPost)
		// The idle timeout is 2000 times 30 minutes here, and so is the time between requests.
		const requests, slower = 10_000, 2000.0
		seconds := 0.0
		for range requests {
			gap := random.ExpFloat64() / (rates.read + rates.write) * slower
			seconds += gap
			now = now.Add(time.Duration(gap * float64(time.Second)))
			if random.Float64() < rates.write/(rates.read+rates.write) {
				send(http.MethodPost)
			} else {
				send(http.MethodGet)
			}
			if seconds > 50_000*3600 { // before the session's lifetime ends
				cookies, seconds = nil, 0
				send(http.MethodPost)
			}
		}
		want := float64(touches) / requests * (rates.read + rates.write)
		if got := extensionRate(rates.read, rates.write, touchAfter*1800); math.Abs(got-want) > 0.05*want {
			t.Errorf("reads %v, writes %v: %v extensions per second, but the library makes %v", rates.read, rates.write, got, want)
		}
	}
}

type countTouches struct{ n *int }

func (c countTouches) ObserveOperation(_ context.Context, op session.Operation) {
	if op.Name == session.OperationTouch {
		*c.n++
	}
}

func TestRatesAddUp(t *testing.T) {
	logins := usual
	logins.Logins = 0.5
	for _, traffic := range []Traffic{usual, usual.Scaled(100), logins, {RequestsPerSecond: 5, Logins: 1, ReadsPerWrite: 0, Sessions: 1e6, IdleTimeout: time.Minute}} {
		sum := 0.0
		for kind, rate := range traffic.rates() {
			if rate < 0 {
				t.Errorf("%s: %v per second", kind, rate)
			}
			sum += rate
		}
		if math.Abs(sum-traffic.RequestsPerSecond) > 1e-9*sum {
			t.Errorf("the rates add up to %v per second, want %v", sum, traffic.RequestsPerSecond)
		}
	}
}

func TestCrossings(t *testing.T) {
	e := estimator(t)
	a, b := golden(t, "dynamodb"), golden(t, "valkey")
	onDemand, nodes := e.Curve("dynamodb", a, usual), e.Curve("valkey", b, usual)
	crossings := e.Crossings(onDemand, nodes, a, b, usual)
	if len(crossings) != 1 {
		t.Fatalf("%+v", crossings)
	}
	c := crossings[0]
	if c.CheaperBelow != "dynamodb" || c.CheaperAbove != "valkey" {
		t.Errorf("%+v", c)
	}
	below, above := e.totalAt(a, usual, c.RequestsPerSecond*0.99)-e.totalAt(b, usual, c.RequestsPerSecond*0.99),
		e.totalAt(a, usual, c.RequestsPerSecond*1.01)-e.totalAt(b, usual, c.RequestsPerSecond*1.01)
	if below >= 0 || above <= 0 || math.Abs(e.totalAt(b, usual, c.RequestsPerSecond)-c.USD) > 0.01 {
		t.Errorf("difference %v below and %v above %+v, want a change of sign", below, above, c)
	}
	if same := e.Crossings(onDemand, onDemand, a, a, usual); len(same) != 0 {
		t.Errorf("a curve crosses itself at %v", same)
	}
}
