package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A usage is the resource usage of a server process since its start.
type usage struct {
	CPU     time.Duration // user and system time (getrusage)
	Mallocs uint64        // heap objects allocated
}

// serve runs the server process. It prints its URL and serves the variant until its standard input ends.
func serve(name, store string) error {
	v, err := variantNamed(name)
	if err != nil {
		return err
	}
	l, err := v.open(store)
	if err != nil {
		return err
	}
	defer l.Close()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	routes := newHandler(l)
	server := http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/usage" {
			routes.ServeHTTP(w, r)
			return
		}
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		json.NewEncoder(w).Encode(usage{time.Duration(used.Utime.Nano() + used.Stime.Nano()), memory.Mallocs})
	})}
	go server.Serve(listener)
	fmt.Printf("http://%s\n", listener.Addr())
	io.Copy(io.Discard, os.Stdin)
	return server.Close()
}

// A server is a running server process.
type server struct {
	url string
	end func() error
}

// startServer starts a server process of the variant with GOMAXPROCS=1.
func startServer(v variant, s stores) (*server, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(program, "serve", v.Name, s[v.Store]) // #nosec G204 -- this program
	command.Env = append(os.Environ(), "GOMAXPROCS=1")
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	end := func() error { return errors.Join(stdin.Close(), command.Wait()) }
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("start the server %s: %w", v.Name, errors.Join(err, end()))
	}
	return &server{strings.TrimSpace(url), end}, nil
}

func (s *server) usage(ctx context.Context) (usage, error) {
	var u usage
	response, err := (&client{http: http.DefaultClient}).do(ctx, http.MethodGet, s.url+"/usage")
	if err != nil {
		return u, fmt.Errorf("get the usage of the server: %w", err)
	}
	defer response.Body.Close()
	return u, json.NewDecoder(response.Body).Decode(&u)
}

// The metrics of a benchmark's result, per request. Its time per operation does not measure the server.
const (
	metricCPU     = "cpu-ns/req"
	metricMallocs = "mallocs/req"
	metricMedian  = "p50-ns" // the median time from a request to its response
)

// concurrency is the number of clients that send at the same time, unless variant.ReadClients has other numbers.
const concurrency = 16

// mostClients is the greatest number of clients that send at the same time.
const mostClients = 64

// benchmark sends b.N requests of the load to the server, from clients with a session each, and reports the server's CPU time
// and allocations per request, and the median latency.
func (s *server) benchmark(b *testing.B, l load) {
	httpClient := newHTTPClient(l.Clients)
	defer httpClient.CloseIdleConnections()
	clients := make([]*client, l.Clients)
	latencies := make([][]float64, l.Clients)
	for i := range clients {
		var err error
		if clients[i], err = newClient(b.Context(), httpClient, s.url); err != nil {
			b.Fatal(err)
		}
	}
	before, err := s.usage(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	b.SetParallelism((l.Clients + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		i := int(next.Add(1) - 1)
		for i < l.Clients && pb.Next() {
			sent := time.Now()
			if err := clients[i].send(b.Context(), s.url, l.Route); err != nil {
				b.Error(err)
				return
			}
			latencies[i] = append(latencies[i], float64(time.Since(sent)))
		}
	})
	after, err := s.usage(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(after.CPU-before.CPU)/float64(b.N), metricCPU)
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N), metricMallocs)
	b.ReportMetric(median(slices.Concat(latencies...)), metricMedian)
}
