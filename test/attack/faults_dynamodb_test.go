package attack

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

const faultyTable = "faults"

// A DynamoDB that sends wrong replies or hangs causes a 503, whatever it sends.
func TestFaultyDynamoDB(t *testing.T) {
	sessiontest.Long(t)
	t.Parallel()
	store := storeserver.ForTest(t, storeserver.DynamoDB)
	createTable(t, store.Endpoint)
	l := newFaultProxy(t, store.Addr)
	v := testedServer{proxy: l, settings: []string{"SESSION_STORE=dynamodb", "DYNAMODB_TABLE=" + faultyTable, "AWS_REGION=eu-west-1",
		"DYNAMODB_ENDPOINT=http://" + l.addr}}
	faults := []storeFault{
		{name: "never responds", run: hang},
		{name: "hangs up", run: disconnect},
		{name: "not HTTP", run: func(c net.Conn) { sendEndlessly(c, "\x00\x01") }},
		{name: "an endless line", run: func(c net.Conn) { sendEndlessly(c, "H") }},
		{name: "endless 103 responses", run: respondEndlessly("", "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")},
		{name: "endless headers", run: respondEndlessly("HTTP/1.1 200 OK\r\n", "X-A: a\r\n")},
		{name: "an endless header", run: respondEndlessly("HTTP/1.1 200 OK\r\nX-A: ", "a")},
		{name: "sends slowly", run: func(c net.Conn) {
			requests(c, func(to io.Writer, _ string) {
				sendSlowly(to, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"+strings.Repeat(" ", 1000))
			})
		}},
		{name: "endless spaces", run: respondEndlessly("HTTP/1.1 200 OK\r\n\r\n", " ")},
		{name: "an endless string", run: respondEndlessly("HTTP/1.1 200 OK\r\n\r\n{\"Item\":{\"id\":{\"S\":\"", "a")},
		{name: "endless items", run: respondEndlessly("HTTP/1.1 200 OK\r\n\r\n{\"Item\":{\"id\":{\"L\":[{\"S\":\"a\"}", ",{\"S\":\"a\"}")},
		{name: "an endless error", run: respondEndlessly("HTTP/1.1 400 Bad Request\r\n\r\n{\"message\":\"", "a")},
		{name: "endless chunks", run: respondEndlessly("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n")},
		{name: "a chunk of absurd length", run: respondEndlessly("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", "a")},
		{name: "endless trailers", run: respondEndlessly("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", "X-A: a\r\n")},
		{name: "a negative length", run: respondRaw("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}")},
		{name: "two lengths", run: respondRaw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}")},
		{name: "an absurd length", run: respondRaw("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n{}")},
		{name: "shorter than declared", run: func(c net.Conn) {
			requests(c, func(to io.Writer, _ string) {
				io.WriteString(to, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"Item\":")
				c.Close()
			})
		}},
		{name: "not compressed as declared", run: respondRaw("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno")},
		{name: "redirects to itself", run: respondWith(307, ``, "Location: /")},
		{name: "redirects to a closed port", run: respondWith(308, ``, "Location: http://127.0.0.1:1/")},
		{name: "redirects to an invalid URL", run: respondWith(307, ``, "Location: ::")},
		{name: "a redirect without a location", run: respondWith(301, ``)},
		{name: "switches protocols", run: respondRaw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\nConnection: Upgrade\r\n\r\n")},
		{name: "no content", run: respondRaw("HTTP/1.1 204 No Content\r\n\r\n"), status: http.StatusOK},
	}
	for _, status := range []int{400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504, 599, 999} {
		faults = append(faults, storeFault{name: fmt.Sprint("status ", status), run: respondWith(status, `<html>no</html>`)})
	}
	for _, code := range []string{
		"AccessDeniedException", "ExpiredTokenException", "IncompleteSignatureException", "InternalServerError", "InvalidSignatureException",
		"ItemCollectionSizeLimitExceededException", "LimitExceededException", "MissingAuthenticationTokenException",
		"ProvisionedThroughputExceededException", "ReplicatedWriteConflictException", "RequestExpired", "RequestLimitExceeded",
		"ResourceInUseException", "ResourceNotFoundException", "SerializationException", "ThrottlingException",
		"TransactionCanceledException", "TransactionConflictException", "UnrecognizedClientException", "ValidationException",
		"NobodyKnowsThisException", "",
	} {
		faults = append(faults, storeFault{name: "error " + code, run: respondWith(400, fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"no"}`, code))})
	}
	far := time.Now().Add(20 * 365 * 24 * time.Hour).UTC().Format(http.TimeFormat)
	faults = append(faults,
		storeFault{name: "a clock far ahead", run: respondWith(400, `{"__type":"InvalidSignatureException","message":"Signature expired"}`, "Date: "+far)},
		storeFault{name: "a clock far behind", run: respondWith(400, `{"__type":"RequestTimeTooSkewed","message":"no"}`, "Date: Thu, 01 Jan 1970 00:00:00 GMT")},
		storeFault{name: "an invalid Date", run: respondWith(400, `{"__type":"RequestTimeTooSkewed","message":"no"}`, "Date: soon")},
		storeFault{name: "an error with wrong types", run: respondWith(400, `{"__type":5,"message":[]}`)},
		storeFault{name: "an error that is a list", run: respondWith(400, `[]`)},
		storeFault{name: "an empty error", run: respondWith(400, ``)},
		storeFault{name: "a failed condition with wrong types", run: respondWith(400, `{"__type":"ConditionalCheckFailedException","Item":[]}`)},
		storeFault{name: "a failed condition without times", run: respondWith(400, `{"__type":"ConditionalCheckFailedException","Item":{"id":{"S":"a"}}}`)},
	)
	for _, body := range []struct{ name, text string }{
		{"null", `null`}, {"a number", `5`}, {"a string", `"a"`}, {"a list", `[]`}, {"plain text", `no`}, {"NUL", "\x00"},
		{"JSON cut short", `{"Item":{"id":`}, {"endless objects", strings.Repeat(`{"Item":`, 200_000)},
		{"endless lists", `{"Item":{"a":` + strings.Repeat(`{"L":[`, 200_000)},
		{"endless maps", `{"Item":{"a":` + strings.Repeat(`{"M":{"a":`, 200_000)},
		{"maps nested 9,000 deep", bodyOf(`{"a":` + strings.Repeat(`{"M":{"a":`, 4500) + `{"S":""}` + strings.Repeat(`}}`, 4500) + `}`)},
		{"an item that is a list", `{"Item":[],"Attributes":[],"Items":{}}`},
		{"an item that is a number", `{"Item":5,"Attributes":5,"Items":5}`},
		{"attributes without a type", bodyOf(`{"id":"a"}`)},
		{"attributes with an unknown type", bodyOf(`{"id":{"X":"a"}}`)},
		{"attributes with two types", bodyOf(`{"id":{"S":"a","N":"5"},"created":{"S":"a"}}`)},
		{"binary that is not base64", bodyOf(`{"id":{"B":"%"}}`)},
		{"a number that is not a string", bodyOf(`{"id":{"S":"a"},"created":{"N":5}}`)},
	} {
		faults = append(faults, storeFault{name: "a body of " + body.name, run: respondWith(200, body.text)})
	}
	for _, changed := range []struct {
		attribute, value string
		status           int
	}{
		{"id", `{"S":"another"}`, 0}, {"id", `{"N":"5"}`, 0}, {"id", ``, 0},
		{"created", `{"S":"soon"}`, 0}, {"created", `{"N":"1e400"}`, 0}, {"created", `{"M":{}}`, 0}, {"created", `{"NULL":true}`, 0}, {"created", ``, 0},
		{"created", `{"N":"9223372036854775807"}`, http.StatusServiceUnavailable}, {"created", `{"N":"-9223372036854775808"}`, http.StatusServiceUnavailable},
		{"expires", `{"BOOL":true}`, 0}, {"expires", `{"N":"9223372036854775808"}`, 0},
		{"ttl", `{"N":"300000000000"}`, http.StatusServiceUnavailable}, {"ttl", `{"L":[]}`, 0},
		{"values", `{"S":"a"}`, 0}, {"values", `{"L":[]}`, 0}, {"values", ``, 0},
		{"values", `{"M":{"visits":{"S":"many"}}}`, http.StatusUnprocessableEntity},
		{"values", `{"M":{"visits":{"N":"1.5"}}}`, http.StatusUnprocessableEntity},
		{"values", `{"M":{"visits":{"N":"9007199254740993"}}}`, http.StatusUnprocessableEntity},
		{"values", `{"M":{"visits":{"L":[]}}}`, http.StatusOK},
		{"user", `{"N":"5"}`, http.StatusOK},
	} {
		faults = append(faults, storeFault{name: fmt.Sprintf("%s=%.40s", changed.attribute, changed.value), status: changed.status,
			run: func(c net.Conn) {
				requests(c, func(to io.Writer, id string) {
					io.WriteString(to, response(200, bodyOf(item(id, changed.attribute, changed.value))))
				})
			}})
	}
	faults = append(faults, storeFault{name: "endless pages", status: http.StatusOK, run: func(c net.Conn) {
		requests(c, func(to io.Writer, id string) {
			body := bodyOf(item(id, "", ""))
			io.WriteString(to, response(200, body[:len(body)-1]+`,"LastEvaluatedKey":{"id":{"S":"a"}}}`))
		})
	}})
	v.runFaults(t, faults)
}

// The SDK adjusts its clock to the Date header of DynamoDB's responses, and DynamoDB refuses signatures with a wrong time. After a
// wrong Date the server must recover.
func TestClockOfFaultyDynamoDB(t *testing.T) {
	var wrong atomic.Int64 // by how many years
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now().AddDate(int(wrong.Load()), 0, 0).UTC()
		w.Header().Set("Date", now.Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil || signed.Sub(now).Abs() > 15*time.Minute || wrong.Load() != 0 {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"Signature expired"}`)
			return
		}
		io.WriteString(w, "{}")
	}))
	defer store.Close()
	v := testedServer{settings: []string{"SESSION_STORE=dynamodb", "DYNAMODB_TABLE=" + faultyTable, "AWS_REGION=eu-west-1", "DYNAMODB_ENDPOINT=" + store.URL}}
	v.start(t)
	cookie := "session=" + strings.Repeat("A", 43)
	for _, years := range []int64{20, -50, 1} {
		wrong.Store(years)
		for range 3 {
			if status, _ := v.ask(t, storeRequests()[0], cookie); status != http.StatusServiceUnavailable {
				t.Errorf("%d years off: %d, want 503", years, status)
			}
		}
		wrong.Store(0)
		status := 0
		for deadline := time.Now().Add(20 * time.Second); status != http.StatusOK && time.Now().Before(deadline); {
			status, _ = v.ask(t, storeRequests()[0], cookie)
		}
		if again, _ := v.ask(t, storeRequests()[0], cookie); status != http.StatusOK || again != http.StatusOK {
			t.Errorf("after %d years: %d, then %d, want 200", years, status, again)
		}
	}
}

// item returns a session of ada that does not expire, with one attribute changed.
func item(id, attribute, value string) string {
	attributes := map[string]string{
		"id": fmt.Sprintf(`{"S":%q}`, id), "created": `{"N":"0"}`, "expires": `{"N":"253402300799"}`, "ttl": `{"N":"253402300799"}`,
		"user": `{"S":"ada"}`, "values": `{"M":{"visits":{"N":"1"}}}`,
	}
	if attribute != "" {
		attributes[attribute] = value
	}
	var list []string
	for name, value := range attributes {
		if value != "" {
			list = append(list, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return "{" + strings.Join(list, ",") + "}"
}

// bodyOf returns a body that is valid for every operation that returns the item.
func bodyOf(item string) string {
	return fmt.Sprintf(`{"Item":%s,"Attributes":%s,"Items":[%s]}`, item, item, item)
}

func response(status int, body string, headers ...string) string {
	head := fmt.Sprintf("HTTP/1.1 %d A\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n", status, len(body))
	for _, header := range headers {
		head += header + "\r\n"
	}
	return head + "\r\n" + body
}

// requests reads requests and has respond write each response. The id is the key of the requested item.
func requests(conn net.Conn, respond func(to io.Writer, id string)) {
	reader := bufio.NewReader(conn)
	for range 1 << 20 {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		var body struct {
			Key, Item struct{ ID struct{ S string } }
		}
		if err := json.NewDecoder(request.Body).Decode(&body); err != nil {
			return
		}
		io.Copy(io.Discard, request.Body)
		respond(conn, body.Key.ID.S+body.Item.ID.S)
	}
}

// respondWith returns a fault that responds to every request with the status, body and headers.
func respondWith(status int, body string, headers ...string) func(net.Conn) {
	return respondRaw(response(status, body, headers...))
}

// respondRaw returns a fault that responds to every request with the text.
func respondRaw(text string) func(net.Conn) {
	return func(conn net.Conn) { requests(conn, func(to io.Writer, _ string) { io.WriteString(to, text) }) }
}

// respondEndlessly returns a fault that responds with head and then with rest, repeated endlessly.
func respondEndlessly(head, rest string) func(net.Conn) {
	return func(conn net.Conn) {
		requests(conn, func(to io.Writer, _ string) { io.WriteString(to, head); sendEndlessly(to, rest) })
	}
}

func createTable(t *testing.T, endpoint string) {
	t.Helper()
	body := `{"TableName":"` + faultyTable + `","BillingMode":"PAY_PER_REQUEST",
		"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"},{"AttributeName":"owner","AttributeType":"S"},
			{"AttributeName":"position","AttributeType":"N"}],
		"KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],
		"GlobalSecondaryIndexes":[{"IndexName":"owner","Projection":{"ProjectionType":"KEYS_ONLY"},
			"KeySchema":[{"AttributeName":"owner","KeyType":"HASH"},{"AttributeName":"position","KeyType":"RANGE"}]}]}`
	request := must.Get(http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(body)))(t)
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810.CreateTable")
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/20260101/eu-west-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
	created := must.Get(http.DefaultClient.Do(request))(t)
	defer created.Body.Close()
	if text, _ := io.ReadAll(created.Body); created.StatusCode != http.StatusOK {
		t.Fatalf("create the table: %d %s", created.StatusCode, text)
	}
}
