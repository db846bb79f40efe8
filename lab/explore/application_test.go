package explore

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest"
)

func TestEffectsAreParsed(t *testing.T) {
	got, ok := ParseEffects("visits +1, cart.tea + 12, user = ada, takes a.note, ends session, renews session")
	want := []Effect{{Field: "visits", Add: 1}, {Field: "cart.tea", Add: 12}, {Field: "user", Value: "ada"}, {Field: "a.note", Takes: true}, {Ends: true}, {Renews: true}}
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("effects %v, %t; want %v", got, ok, want)
	}
	for _, text := range []string{"", "visits", "visits +0", "visits -1", "user =", "takes", "takes a b", "ends", "visits +1,"} {
		if got, ok := ParseEffects(text); ok {
			t.Errorf("effects %q are parsed as %v, want a refusal", text, got)
		}
	}
}

// Faults at orders that were not run are missing too, so a scenario whose orders were cut off is never complete.
func TestFaultsAreCompleteOnlyIfOrdersAre(t *testing.T) {
	for _, test := range []struct {
		left   int // orders beyond the bound
		faults []Fault
		want   bool
	}{{0, Faults(), true}, {1, Faults(), false}, {0, nil, false}} {
		s := &search{faults: test.faults}
		for range test.left {
			s.push(Schedule{{Lane: 0}})
		}
		s.cut()
		s.faultsOn()
		s.cut()
		if got := s.counts[1].Complete; got != test.want || s.counts[0].Complete != (test.left == 0) {
			t.Errorf("%d orders left, faults %v: complete %t, want %t", test.left, test.faults, got, test.want)
		}
	}
}

// Only the request that the fault struck counts as acknowledged in spite of it.
func TestAcknowledgedFailuresAreCounted(t *testing.T) {
	run := func(answerA, answerB string, v *Violation) Result {
		return Result{Violation: v, Steps: []Step{{Request: "A", Fault: Drop}, {Request: "B"}, {Request: "B", Answer: answerB}, {Request: "A", Answer: answerA}}}
	}
	var c Counts
	c.count(run("200", "200", &Violation{}), 2)
	c.count(run("503", "200", &Violation{}), 2)
	c.count(run(noAnswer, "200", &Violation{}), 2)
	c.count(run("200", "200", nil), 2)
	if c.Broken != 3 || len(c.Acknowledged) != 1 || c.Acknowledged[Drop] != 1 {
		t.Errorf("%d broken, acknowledged %v; want 3, and one drop", c.Broken, c.Acknowledged)
	}
}

func TestSchedulesAreParsed(t *testing.T) {
	const text = "A B A!drop B"
	s, err := ParseSchedule(text, 2)
	if err != nil || s.String() != text || s.switches() != 3 || !s.faulty() {
		t.Errorf("schedule %v (%d switches, faulty %t), error %v", s, s.switches(), s.faulty(), err)
	}
	for _, text := range []string{"C", "A!", "A!die", "AB", "1"} {
		if _, err := ParseSchedule(text, 2); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("schedule %q: error %v, want one that names it", text, err)
		}
	}
}

func TestScenarioFileErrorsNameLineAndWhatIsAllowed(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"server: x\nstore: valkey\nport: 3", "3: unknown field \"port\""},
		{"store: valkey", "1: \"\": allowed is the command that starts a server"},
		{"server: x\n\nstore: mysql", "3: \"mysql\": allowed is valkey, memcached"},
		{"server: x\nstore: tcp://example.com:1", "2: \"tcp://example.com:1\": allowed is"},
		{"server: [x", "1: "},
		{"server: x\nstore: valkey\nrequests:\n- name: a\n  send: FETCH /\n  effects: v +1", "5: \"FETCH /\": allowed is a method"},
		{"server: x\nstore: valkey\nrequests:\n- name: a\n  send: POST /\n  effects: v -1", "6: \"v -1\": allowed is effects such as"},
		{"server: x\nstore: valkey\nrequests:\n- name: a b\n  send: POST /\n  effects: v +1", "4: \"a b\": allowed is a name"},
		{"server: x\nstore: valkey\nrequests:\n- name: a\n  send: POST /\n  effects: ends session", "no request adds or sets"},
		{"server: x\nstore: valkey\nrequests:\n- name: a\n  send: POST /\n  effects: v +1, takes w", "a request takes w, but none sets it"},
		{"server: x\nstore: valkey\nready: healthz", "3: \"healthz\": allowed is a path"},
		{"server: x\nstore: valkey\nstate: /", "3: \"/\": allowed is a request"},
		{"server: x\nstore: valkey\nlogout_within: 61s", "3: \"61s\": allowed is a duration"},
		{"server: x\nstore: {a: b}", "2: "},
	} {
		_, err := parseFile([]byte(test.text))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) && !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("file %q: error %v, want one line with %q", test.text, err, test.want)
		}
	}
}

func TestThreeLinesFollowTheContract(t *testing.T) {
	f, err := parseFile([]byte("server: ./server\nstore: tcp://127.0.0.1:3306\nenv: {URL: \"mysql://${STORE_HOST}:${STORE_PORT}/db\"}"))
	if err != nil {
		t.Fatal(err)
	}
	if want := Contract(); !reflect.DeepEqual(f.Requests, want.Requests) || !reflect.DeepEqual(f.State, want.State) {
		t.Errorf("requests %v and %v, want those of the contract", f.Requests, f.State)
	}
	env := f.Process("s", "8080", "tcp://127.0.0.1:99").Env
	for _, want := range []string{"PORT=8080", "STORE_URL=tcp://127.0.0.1:99", "URL=mysql://127.0.0.1:99/db"} {
		if !strings.Contains(strings.Join(env, "\n")+"\n", "\n"+want+"\n") {
			t.Errorf("the environment has no %s", want)
		}
	}
}

// ran returns a request of the contract, or one that takes or sets a notice, with its answer; status 0 is no answer.
func ran(name string, status int, body ...string) *lane {
	a := Contract()
	a.Requests = append(a.Requests, Request{Name: "pop", Effects: []Effect{{Field: "notice", Takes: true}}},
		Request{Name: "notify", Effects: []Effect{{Field: "notice", Value: "saved"}}})
	requests, err := a.Scenario(name)
	if err != nil {
		panic(err)
	}
	l := &lane{request: requests[0], answered: true}
	if status == 0 {
		l.err = errors.New("no answer")
		return l
	}
	l.response = sessiontest.Response{Response: &http.Response{StatusCode: status}, Body: strings.Join(body, "")}
	return l
}

func TestJudge(t *testing.T) {
	const cart = "cart.coffee"
	anonymous, ada := state{"visits": "1", cart: "1"}, state{"visits": "1", cart: "1", "user": "ada"}
	with := func(s state, field, value string) state {
		changed := state{field: value}
		for name, v := range s {
			if name != field {
				changed[name] = v
			}
		}
		if value == "" {
			delete(changed, field)
		}
		return changed
	}
	noticed, popped := with(ada, "notice", "saved"), ran("pop", 200, `{"notice":"saved"}`)
	for _, test := range []struct {
		name    string
		outcome outcome
		want    Promise
	}{
		{"acknowledged and there", outcome{ada, with(ada, "visits", "2"), ada, []*lane{ran("visits", 200)}}, ""},
		{"acknowledged and missing", outcome{ada, ada, ada, []*lane{ran("visits", 200)}}, LostUpdate},
		{"refused and there", outcome{ada, with(ada, "visits", "2"), ada, []*lane{ran("visits", 503)}}, ""},
		{"refused and missing", outcome{ada, ada, ada, []*lane{ran("visits", 503)}}, ""},
		{"sent once and there twice", outcome{ada, with(ada, "visits", "3"), ada, []*lane{ran("visits", 0)}}, AppliedTwice},
		{"another field is gone", outcome{ada, with(with(ada, "visits", "2"), cart, ""), ada, []*lane{ran("visits", 200)}}, SessionLost},
		{"nothing is there", outcome{ada, state{}, state{}, []*lane{ran("visits", 0)}}, SessionLost},
		{"user is gone", outcome{ada, with(with(ada, "visits", "2"), "user", ""), ada, []*lane{ran("visits", 200)}}, LoginLost},
		{"user is somebody else", outcome{ada, with(ada, "user", "eve"), ada, []*lane{ran("visits", 503)}}, WrongValue},
		{"visits is no number", outcome{ada, with(ada, "visits", "many"), ada, []*lane{ran("visits", 503)}}, WrongValue},
		{"logged in", outcome{anonymous, ada, state{}, []*lane{ran("login", 200)}}, ""},
		{"login refused", outcome{anonymous, anonymous, anonymous, []*lane{ran("login", 503)}}, ""},
		{"login acknowledged and missing", outcome{anonymous, anonymous, anonymous, []*lane{ran("login", 200)}}, LoginLost},
		{"login without a new identifier", outcome{anonymous, ada, ada, []*lane{ran("login", 200)}}, Fixation},
		{"login with an empty session", outcome{anonymous, state{"user": "ada"}, state{}, []*lane{ran("login", 200)}}, SessionLost},
		{"logged out", outcome{ada, state{}, state{}, []*lane{ran("logout", 200)}}, ""},
		{"logout acknowledged, the old cookie works", outcome{ada, state{}, ada, []*lane{ran("logout", 200)}}, AliveAfter},
		{"logout refused, all is there", outcome{ada, ada, ada, []*lane{ran("logout", 503)}}, ""},
		{"logout refused, nothing is there", outcome{ada, state{}, state{}, []*lane{ran("logout", 503)}}, ""},
		{"logout refused, a part is there", outcome{ada, with(ada, cart, ""), state{}, []*lane{ran("logout", 503)}}, SessionLost},
		{"logout refused, and a visit in a new session", outcome{ada, state{"visits": "1"}, state{}, []*lane{ran("visits", 200), ran("logout", 500)}}, ""},
		{"logout refused, and a visit that lost the user", outcome{ada, with(with(ada, "visits", "2"), "user", ""), state{}, []*lane{ran("visits", 200), ran("logout", 500)}}, LoginLost},
		{"logout, and a visit in a new session", outcome{ada, state{"visits": "1"}, state{}, []*lane{ran("logout", 200), ran("visits", 200)}}, ""},
		{"logout, and a visit brings the user back", outcome{ada, ada, state{}, []*lane{ran("logout", 200), ran("visits", 200)}}, AliveAfter},
		{"logout, and a new session under the old identifier", outcome{ada, state{}, state{"visits": "1"}, []*lane{ran("logout", 200), ran("visits", 200)}}, ""},
		{"one of two takes", outcome{noticed, ada, ada, []*lane{popped, ran("pop", 200)}}, ""},
		{"both take", outcome{noticed, ada, ada, []*lane{popped, popped}}, TakenTwice},
		{"taken and still there", outcome{noticed, noticed, noticed, []*lane{popped}}, TakenTwice},
		{"taken by nobody and still there", outcome{noticed, noticed, noticed, []*lane{ran("pop", 200)}}, LostUpdate},
		{"taken by nobody and gone", outcome{noticed, ada, ada, []*lane{ran("pop", 200), ran("pop", 200)}}, LostUpdate},
		{"perhaps taken by a request without an answer", outcome{noticed, ada, ada, []*lane{ran("pop", 200), ran("pop", 0)}}, ""},
		{"taken, and set again", outcome{noticed, noticed, noticed, []*lane{popped, ran("notify", 200)}}, ""},
		{"set after nothing was taken", outcome{ada, noticed, noticed, []*lane{ran("pop", 200), ran("notify", 200)}}, ""},
		{"set once and taken twice", outcome{ada, ada, ada, []*lane{popped, popped, ran("notify", 200)}}, TakenTwice},
		{"set and gone", outcome{ada, ada, ada, []*lane{ran("pop", 200), ran("notify", 200)}}, LostUpdate},
		{"taken before the logout", outcome{noticed, state{}, state{}, []*lane{popped, ran("logout", 200)}}, ""},
		{"login after the logout", outcome{anonymous, state{"user": "ada"}, state{}, []*lane{ran("logout", 200), ran("login", 200)}}, ""},
	} {
		got := Promise("")
		if v := test.outcome.judge(); v != nil {
			if got = v.Promise; v.Sentence == "" {
				t.Errorf("%s: no sentence says what is broken", test.name)
			}
		}
		if got != test.want {
			t.Errorf("%s: broken is %q, want %q", test.name, got, test.want)
		}
	}
}
