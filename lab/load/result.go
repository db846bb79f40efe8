package load

import (
	"fmt"
	"math"
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
	Settings   []Setting  `json:"settings"`   // of each machine that sent requests
	Findings   []string   `json:"findings"`   // the first of each kind, in words
	Histograms Histograms `json:"histograms"` // so that results of several machines can be merged
}

// Setting is with what a machine tested, and what it is.
type Setting struct {
	Rate     string          `json:"rate"` // as ParseRate reads it
	Sessions int             `json:"sessions"`
	Mix      string          `json:"mix"` // as ParseMix reads it
	Timeout  float64         `json:"timeout_s"`
	Machine  machine.Machine `json:"machine"`
}

func (o Options) setting() Setting {
	return Setting{o.Rate.String(), o.Sessions, o.Mix.String(), o.Timeout.Seconds(), machine.This()}
}

// Quantiles are milliseconds.
type Quantiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// Histograms are of microseconds: HdrHistogram, version 2, compressed, in Base64.
type Histograms struct {
	Latency string `json:"latency"`
	Service string `json:"service"`
}

// result adds everything up. The measurement ended at end.
func (r *Run) result(end time.Duration) (Result, error) {
	s := r.stats
	duration := max(0, end-r.schedule.warmup).Seconds()
	result := Result{
		Requests: s.requests, OK: s.ok, Duration: duration, Servers: s.servers, Errors: s.errors,
		Latency: quantiles(s.latency), Service: quantiles(s.service), Late: milliseconds(s.late.ValueAtPercentile(99)),
		Sessions: r.log.Counts(), Events: r.events.sorted(),
		URL: r.options.URL, Started: r.started.Load().Round(0).UTC(), Warmup: r.schedule.warmup.Seconds(), Findings: []string{},
		Settings: []Setting{r.setting},
	}
	if duration > 0 {
		result.RateTarget = round(float64(r.schedule.scheduled(end)) / duration)
		result.RateAchieved = round(float64(s.requests) / duration)
	}
	for _, finding := range r.log.Findings() {
		result.Findings = append(result.Findings, finding.Text)
	}
	var err error
	if result.Series, err = s.series.all(); err != nil {
		return result, err
	}
	return result, result.encode(s.latency, s.service)
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	return Quantiles{
		milliseconds(h.ValueAtPercentile(50)), milliseconds(h.ValueAtPercentile(90)), milliseconds(h.ValueAtPercentile(99)),
		milliseconds(h.ValueAtPercentile(99.9)), milliseconds(h.Max()),
	}
}

func milliseconds(microseconds int64) float64 { return float64(microseconds) / 1000 }

func round(n float64) float64 { return math.Round(n*1000) / 1000 }

func (r *Result) encode(latency, service *hdrhistogram.Histogram) (err error) {
	if r.Histograms.Latency, err = encode(latency); err != nil {
		return err
	}
	r.Histograms.Service, err = encode(service)
	return err
}

func encode(h *hdrhistogram.Histogram) (string, error) {
	text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return "", fmt.Errorf("encoding a histogram: %w", err)
	}
	return string(text), nil
}
