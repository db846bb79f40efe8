//go:build unix

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/HdrHistogram/hdrhistogram-go"

	"stateless-servers/lab/check"
	"stateless-servers/lab/load"
	"stateless-servers/lab/machine"
	"stateless-servers/session/sessiontest/must"
)

func TestScreenEscapesControlCharacters(t *testing.T) {
	for _, test := range []struct {
		writes []string
		want   string
	}{
		{[]string{"a line\n\tand another\n"}, "a line\n\tand another\n"},
		{[]string{"\x1b[2Jred\a\r\b\x00\x7f"}, `\u001b[2Jred\u0007\u000d\u0008\u0000\u007f`},
		{[]string{"\u009b2J\x9b2J"}, `\u009b2J\x9b2J`},
		{[]string{"abc\u202edef\u2066"}, `abc\u202edef\u2066`},
		{[]string{"p50 – 1 ms █", "\xe2\x96", "\x88 é\xc3", "\xa9"}, "p50 – 1 ms ██ éé"},
		{[]string{"\xe2\x96", "a"}, `\xe2\x96a`},
	} {
		var out bytes.Buffer
		s := &screen{w: &out}
		for _, text := range test.writes {
			if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
				t.Errorf("%q: %d, %v", text, n, err)
			}
		}
		if out.String() != test.want {
			t.Errorf("%q: got %q, want %q", test.writes, out.String(), test.want)
		}
	}
}

const evil = "\x1b[2J\x1b]0;title\a\u009b31m\u202e"

// evilFiles writes input files to the current folder. Every text in them has control characters.
func evilFiles(t *testing.T) {
	t.Helper()
	write := func(name string, text []byte) {
		t.Helper()
		must.Succeed(t, os.MkdirAll(filepath.Dir(name), 0o700))
		must.Succeed(t, os.WriteFile(name, text, 0o600))
	}
	h := hdrhistogram.New(1, 1000, 3)
	encoded, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	must.Succeed(t, err)
	r := load.Result{
		URL: "http://" + evil, Started: time.Now(), Servers: map[string]int64{evil: 1}, Errors: map[string]int64{evil: 1},
		Events: []load.Event{{What: evil}}, Findings: []string{evil}, Settings: []load.Settings{{Rate: evil, Mix: evil, Machine: machine.Machine{System: evil}}},
		Series: []load.Span{{Servers: map[string]int64{evil: 1}, Histogram: string(encoded)}}, Sessions: check.Counts{Lost: 1},
		Histograms: load.Histograms{Latency: string(encoded), Service: string(encoded)},
	}
	text, err := json.Marshal(r)
	must.Succeed(t, err)
	write("result.json", text)
	r.Series[0].T = -1
	r.Series[0].Servers = map[string]int64{evil: -1}
	if text, err = json.Marshal(r); err != nil {
		t.Fatal(err)
	}
	write("negative.json", text)
	r.Series, r.Histograms.Latency = nil, base64.StdEncoding.EncodeToString([]byte(evil))
	if text, err = json.Marshal(r); err != nil {
		t.Fatal(err)
	}
	write("unreadable.json", text)

	quoted := string(marshaled(json.Marshal(evil)))
	header := `{"history":1,"run":` + quoted + `,"url":` + quoted + `,"idle_ns":1800000000000}` + "\n"
	write("kind.jsonl", []byte(header+`{"kind":`+quoted+"}\n"))
	write("product.jsonl", []byte(header+`{"kind":"cart","product":`+quoted+"}\n"))
	write("history.jsonl", []byte(header+
		`{"kind":"login","sent_ns":0,"received_ns":10,"status":200,"server":`+quoted+`,"body":{"authenticated":true,"user":`+quoted+
		`,"visits":0,"cart":{},"created":"2026-11-21T10:00:00Z","expires":"2026-11-21T10:30:00Z"}}`+"\n"))

	write("assembly/manifest.json", []byte(`{"version":"1","artifacts":{"Stack":{"type":"aws:cloudformation:stack","displayName":`+quoted+
		`,"properties":{"templateFile":"Stack.template.json","stackName":`+quoted+`}}}}`))
	write("assembly/Stack.template.json", []byte(`{"Resources":{`+quoted+`:{"Type":`+quoted+`,"DeletionPolicy":"Retain","Properties":{}},"Table":{"Type":`+
		`"AWS::DynamoDB::Table","Properties":{"BillingMode":`+quoted+`,"TableClass":`+quoted+`}}}}`))
	write("cdk-outputs.json", []byte(`{`+quoted+`:{"URL":`+quoted+`}}`))
	write("prices.csv", []byte("item,region,unit,usd,source,date,verified\n"+evil+",us-east-1,"+evil+",x,y,z,true\n"))
}

func marshaled(text []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return text
}

// Control characters in files, arguments and flags don't reach the terminal.
func TestControlCharactersInInputAreEscaped(t *testing.T) {
	dir, root := t.TempDir(), moduleRoot(t)
	t.Chdir(dir)
	evilFiles(t)
	for _, args := range []string{
		"merge result.json result.json", "merge result.json result.json --max-lost 0", "report result.json", "report negative.json",
		"report unreadable.json", "check kind.jsonl", "check product.jsonl", "check history.jsonl", "cost " + dir + "/assembly",
		"cost " + dir + "/assembly --json -", "cost " + dir + "/assembly --markdown -", "cost " + dir + "/assembly --html -",
		"cost --prices " + dir + "/prices.csv", "load", "load --url " + evil, "report " + evil, "check " + evil, "up " + evil, evil,
	} {
		if strings.HasPrefix(args, "cost") {
			t.Chdir(root)
		} else {
			t.Chdir(dir)
		}
		_, stdout, stderr := lab(t, strings.Split(args, " ")...)
		if stdout+stderr == "" {
			t.Errorf("lab %s printed nothing, want an error or a result", args)
		}
		if i := strings.IndexFunc(stdout+stderr, func(r rune) bool {
			return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r))
		}); i >= 0 {
			t.Errorf("lab %s printed a control character: %q", args, (stdout + stderr)[max(0, i-40):min(len(stdout+stderr), i+40)])
		}
	}
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	return must.Get(filepath.Abs(".."))(t)
}
