package dax

import (
	"bytes"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"stateless-servers/session/sessiontest/must"
)

// Methods of DAX's protocol, which is documented only by its clients.
const (
	authorize       = 1489122155
	endpoints       = 455855874
	keySchema       = -742646399
	attributeListID = -1230579644
	attributeList   = 670678385
	getItem         = 263244906
	putItem         = -2106490455
	updateItem      = 1425579023
	batchGetItem    = -697851100
	transactWrite   = -1160037738
)

// projection lists the attributes that package dynamodb reads in a batch. The reply has their indexes instead of names.
var projection = []string{"id", "created", "expires", "ttl", "user", "agent", "ended"}

// Error codes by name.
var codes = map[string]int{"ConditionalCheckFailedException": 43, "TransactionConflictException": 57, "TransactionCanceledException": 58}

const consistentRead = 2 // the key of a request's parameters

// A server simulates a node of DAX: it speaks the protocol, stores nothing, and sends the replies that
// the test sets.
type server struct {
	net.Listener

	mu       sync.Mutex
	list     int             // the number of the list attrs
	attrs    []string        // of the only item
	values   []any           // of the attributes
	refuse   string          // every write has this error
	times    int             // number of writes with this error; 0 for all
	reasons  []any           // of a TransactionCanceledException: a code, a message and an item for each item
	hangUp   bool            // close the connection instead of replying to writes
	mute     bool            // reply to no request
	requests map[string]int  // by type
	conns    []net.Conn      // to close
	closed   bool            // close new connections too
	wait     *sync.WaitGroup // for all connections
}

// serve starts a server on the given address, or on a free loopback port. With a config, it uses TLS.
func serve(t *testing.T, address string, config *tls.Config) *server {
	t.Helper()
	listener := must.Get(net.Listen("tcp", address))(t)
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	s := &server{Listener: listener, requests: map[string]int{}, wait: &sync.WaitGroup{}}
	s.wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			if s.closed {
				conn.Close()
			}
			s.mu.Unlock()
			s.wait.Go(func() { defer conn.Close(); s.talk(conn) })
		}
	})
	t.Cleanup(s.end)
	return s
}

func (s *server) end() {
	s.Listener.Close()
	s.mu.Lock()
	s.closed = true
	for _, conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.wait.Wait()
}

// set changes the replies of the server.
func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// count returns the number of requests of a type.
func (s *server) count(kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[kind]
}

func (s *server) talk(conn net.Conn) {
	in := cbor.NewDecoder(conn)
	next := func() (value any, ok bool) { return value, in.Decode(&value) == nil }
	skip := func(n int) (ok bool) {
		for ok = true; n > 0 && ok; n-- {
			_, ok = next()
		}
		return ok
	}
	if !skip(5) { // magic, layering, session, header, mode
		return
	}
	for {
		var service, method int64
		if in.Decode(&service) != nil || in.Decode(&method) != nil {
			return
		}
		count := map[int64]int{authorize: 5, endpoints: 0, keySchema: 1, attributeListID: 1, attributeList: 1,
			getItem: 2, putItem: 3, updateItem: 2, batchGetItem: 1, transactWrite: 8}[method]
		var arguments []any
		for range count {
			argument, ok := next()
			if !ok {
				return
			}
			arguments = append(arguments, argument)
		}
		var parameters map[int64]any
		switch method {
		case getItem, putItem, updateItem, batchGetItem, transactWrite:
			if in.Decode(&parameters) != nil {
				return
			}
		}
		reply, hangUp := s.reply(method, arguments, parameters)
		if hangUp {
			conn.(*net.TCPConn).SetLinger(0) // reset the connection
			return
		}
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}

// reply returns the reply to a request, and whether to close the connection instead.
func (s *server) reply(method int64, arguments []any, parameters map[int64]any) (reply []byte, hangUp bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	none := []any{} // no error
	switch method {
	case authorize:
		return nil, false
	case endpoints:
		address := s.Addr().(*net.TCPAddr)
		node := map[int]any{0: 1, 1: "node", 2: []byte(address.IP.To4()), 3: address.Port, 4: 1, 5: "a", 6: 1}
		return s.say(none, []any{node}), false
	case keySchema:
		return s.say(none, map[string]string{"id": "S"}), false
	case attributeListID:
		return s.say(none, s.list), false
	case attributeList:
		return s.say(none, s.attrs), false
	case getItem:
		kind := "eventual read"
		if parameters[consistentRead] == true {
			kind = "consistent read"
		}
		s.requests[kind]++
		if s.attrs == nil {
			return s.say(none, nil), false
		}
		return s.say(none, map[int]any{0: s.encode(append([]any{s.list}, s.values...)...)}), false
	case batchGetItem:
		return s.say(append([]any{none}, s.batch(arguments[0].(map[any]any))...)...), false
	default:
		kind := "write"
		if method == transactWrite {
			kind = "transaction"
		}
		s.requests[kind]++
		if s.hangUp {
			return nil, true
		}
		if refuse := s.refuse; refuse != "" {
			if s.times > 0 {
				if s.times--; s.times == 0 {
					s.refuse = ""
				}
			}
			info := []any{"id", refuse, 400}
			if refuse == "TransactionCanceledException" {
				info = append(info, s.reasons)
			}
			return s.say([]int{4, 37, 38, 39, codes[refuse]}, "The conditional request failed", info), false
		}
		if method == transactWrite {
			return s.say(none, []any{none, none, map[string]any{}}), false
		}
		if method == updateItem && s.attrs != nil { // which returns the item
			return s.say(none, map[int]any{2: s.encode(append([]any{s.list}, s.values...)...)}), false
		}
		return s.say(none, nil), false
	}
}

// batch returns the reply to a BatchGetItem: the only item, for each key.
func (s *server) batch(tables map[any]any) []any {
	found := map[string]any{}
	for table, wanted := range tables {
		wanted := wanted.([]any) // whether to read consistently, the projection, the keys
		if wanted[0] == true {
			s.requests["consistent batch"]++
		} else {
			s.requests["eventual batch"]++
		}
		items := []any{}
		for _, key := range wanted[2].([]any) {
			it := map[int]any{0: string(key.([]byte))}
			for i, name := range projection {
				if at := slices.Index(s.attrs, name); at >= 0 {
					it[i] = s.values[at]
				}
			}
			items = append(items, it)
		}
		found[table.(string)] = items
	}
	return []any{[]any{found, map[string]any{}}, []any{}}
}

func (s *server) say(values ...any) []byte {
	if s.mute {
		return nil
	}
	return s.encode(values...)
}

func (s *server) encode(values ...any) []byte {
	var text bytes.Buffer
	for _, value := range values {
		encoded, err := cbor.Marshal(value)
		if err != nil {
			panic(err) // a bug of the test
		}
		text.Write(encoded)
	}
	return text.Bytes()
}

// keep makes an item the only one.
func (s *server) keep(item map[string]any) {
	s.set(func() {
		s.list, s.attrs, s.values = s.list+2, nil, nil // 1 is the empty list
		for name := range item {
			s.attrs = append(s.attrs, name)
		}
		slices.Sort(s.attrs)
		for _, name := range s.attrs {
			s.values = append(s.values, item[name])
		}
	})
}
