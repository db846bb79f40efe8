package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"stateless-servers/lab/check"
	"stateless-servers/lab/machine"
)

// Result is the result of a load test. Its JSON is stable: only new fields may be added.
type Result struct {
	Requests     int64            `json:"requests"`      // sent in the measurement
	OK           int64            `json:"ok"`            // with a response that a correct server may give
	Duration     float64          `json:"duration_s"`    // of the measurement
	RateTarget   float64          `json:"rate_target"`   // scheduled requests per second
	RateAchieved float64          `json:"rate_achieved"` // sent requests per second
	Latency      Quantiles        `json:"latency_ms"`    // from the time at which a request was due
	Service      Quantiles        `json:"service_ms"`    // from the time at which it was sent
	Servers      map[string]int64 `json:"servers"`       // responses by server
	Errors       map[string]int64 `json:"errors"`        // failed requests by class: timeout, refused, closed, http_502 …
	Sessions     check.Counts     `json:"sessions"`      // of the whole run
	Events       []Event          `json:"events"`
	Series       []Span           `json:"series"` // of the whole run

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
	Rate     string          `json:"rate"` // as ParseRate reads it
	Sessions int             `json:"sessions"`
	Mix      string          `json:"mix"` // as ParseMix reads it
	Timeout  float64         `json:"timeout_s"`
	Machine  machine.Machine `json:"machine"`
}

// Histograms has encoded histograms, in microseconds: HdrHistogram, version 2, compressed, in Base64.
type Histograms struct {
	Latency string `json:"latency"`
	Service string `json:"service"`
}

func (r *Result) encode(latency, service *hdrhistogram.Histogram) (err error) {
	if r.Histograms.Latency, err = encode(latency); err != nil {
		return err
	}
	r.Histograms.Service, err = encode(service)
	return err
}
