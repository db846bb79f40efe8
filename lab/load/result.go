package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"stateless-servers/lab/check"
	"stateless-servers/lab/machine"
)

// Result is the result of a load test. Its JSON is stable: only new fields may be added.
// result.schema.json describes it.
type Result struct {
	Verdict      Verdict              `json:"verdict"`
	Thresholds   []Threshold          `json:"thresholds"`
	Requests     int64                `json:"requests"`      // sent in the measurement
	OK           int64                `json:"ok"`            // with a response that a correct server may give
	Duration     float64              `json:"duration_s"`    // of the measurement
	RateTarget   float64              `json:"rate_target"`   // scheduled requests per second
	RateAchieved float64              `json:"rate_achieved"` // sent requests per second
	Latency      Quantiles            `json:"latency_ms"`    // from the time at which a request was due
	Service      Quantiles            `json:"service_ms"`    // from the time at which it was sent
	Operations   map[string]Operation `json:"operations"`    // by kind of request; see MixSyntax
	Servers      map[string]int64     `json:"servers"`       // responses by server
	Errors       map[string]int64     `json:"errors"`        // failed requests by class: timeout, refused, closed, http_502 …
	Sessions     check.Counts         `json:"sessions"`      // of the whole run
	Events       []Event              `json:"events"`
	Series       []Span               `json:"series"` // of the whole run

	URL        string     `json:"url"`
	Started    time.Time  `json:"started"`    // of the run
	Warmup     float64    `json:"warmup_s"`   // before the measurement
	Late       float64    `json:"late_ms"`    // the 99th percentile of the delay from due to sent
	Settings   []Settings `json:"settings"`   // of each machine that sent requests
	Findings   []string   `json:"findings"`   // explanations of the first violations of each kind
	Histograms Histograms `json:"histograms"` // for merging the results of several machines
}

// Settings has the options of a test on one machine, and the machine.
type Settings struct {
	Run      string          `json:"run"`  // the random identifier of the run
	Rate     string          `json:"rate"` // as ParseRate reads it
	Sessions int             `json:"sessions"`
	Mix      string          `json:"mix"` // as ParseMix reads it
	Timeout  float64         `json:"timeout_s"`
	Machine  machine.Machine `json:"machine"`
}

// Operation has the measurements of the requests of one kind.
type Operation struct {
	Requests  int64     `json:"requests"`
	Failed    int64     `json:"failed"`
	Latency   Quantiles `json:"latency_ms"`
	Histogram string    `json:"histogram"` // of the latency; encoded as Histograms

	latency *hdrhistogram.Histogram // while it is measured or merged
}

// Histograms has encoded histograms, in microseconds: HdrHistogram, version 2, compressed, in Base64.
type Histograms struct {
	Latency string `json:"latency"`
	Service string `json:"service"`
}

// encode sets the encoded histograms, and the latency of each operation.
func (r *Result) encode(latency, service *hdrhistogram.Histogram) (err error) {
	if r.Histograms.Latency, err = encode(latency); err != nil {
		return err
	}
	if r.Histograms.Service, err = encode(service); err != nil {
		return err
	}
	for kind, o := range r.Operations {
		o.Latency = quantiles(o.latency)
		if o.Histogram, err = encode(o.latency); err != nil {
			return err
		}
		r.Operations[kind] = o
	}
	return nil
}
