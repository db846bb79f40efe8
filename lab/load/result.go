package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"stateless-servers/lab/check"
	"stateless-servers/lab/machine"
)

// Result is what came of a load test. Its JSON is stable: fields may be added.
type Result struct {
	Requests     int64            `json:"requests"`      // sent in the measurement
	OK           int64            `json:"ok"`            // answered as a correct server may
	Duration     float64          `json:"duration_s"`    // of the measurement
	RateTarget   float64          `json:"rate_target"`   // requests a second that were to be sent
	RateAchieved float64          `json:"rate_achieved"` // requests a second that were sent
	Latency      Quantiles        `json:"latency_ms"`    // from when a request was due
	Service      Quantiles        `json:"service_ms"`    // from when it was sent
	Servers      map[string]int64 `json:"servers"`       // requests answered
	Errors       map[string]int64 `json:"errors"`        // by class: timeout, refused, closed, http_502 …
	Sessions     check.Counts     `json:"sessions"`      // of the whole run
	Events       []Event          `json:"events"`
	Series       []Span           `json:"series"` // of the whole run

	URL        string     `json:"url"`
	Started    time.Time  `json:"started"`    // of the run
	Warmup     float64    `json:"warmup_s"`   // after which the measurement began
	Late       float64    `json:"late_ms"`    // the 99th percentile of how late requests were sent
	Settings   []Settings `json:"settings"`   // of each machine that sent requests
	Findings   []string   `json:"findings"`   // the first of each kind, in words
	Histograms Histograms `json:"histograms"` // so that results of several machines can be merged
}

// Settings is with what a machine tested, and what it is.
type Settings struct {
	Rate     string          `json:"rate"` // as ParseRate reads it
	Sessions int             `json:"sessions"`
	Mix      string          `json:"mix"` // as ParseMix reads it
	Timeout  float64         `json:"timeout_s"`
	Machine  machine.Machine `json:"machine"`
}

// Histograms are of microseconds: HdrHistogram, version 2, compressed, in Base64.
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
