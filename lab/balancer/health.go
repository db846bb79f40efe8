package balancer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"
)

// healthPath is what checks ask for; healthy is the answer 200.
const healthPath = "/healthz"

// newChecker opens a connection for each check, as an ALB does: a server that accepts none must be noticed.
func newChecker(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:       timeout,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// watch checks the target at once and then each interval, until ctx ends.
func (b *Balancer) watch(ctx context.Context, t *target) {
	ticker := time.NewTicker(b.options.HealthInterval)
	defer ticker.Stop()
	state, succeeded, failed := StateInitial, 0, 0
	for {
		err := b.check(ctx, t.address)
		if ctx.Err() != nil {
			return
		}
		reason := ""
		if err == nil {
			succeeded, failed = succeeded+1, 0
		} else {
			succeeded, failed, reason = 0, failed+1, err.Error()
		}
		if next := b.judge(state, succeeded, failed); next != state {
			state = next
			b.setState(t, state, reason)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// judge gives the state after a check, from the number of checks in a row that succeeded or failed.
func (b *Balancer) judge(state State, succeeded, failed int) State {
	switch {
	case state == StateInitial && succeeded > 0, succeeded >= b.options.HealthyThreshold:
		return StateHealthy
	case failed >= b.options.UnhealthyThreshold:
		return StateUnhealthy
	default:
		return state
	}
}

func (b *Balancer) check(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+healthPath, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "ELB-HealthChecker/2.0")
	response, err := b.checker.Do(request)
	if err != nil {
		return cause(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s answered %d", healthPath, response.StatusCode)
	}
	return nil
}

// cause is the short form of what made a check fail.
func cause(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused")
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("no answer in time")
	default:
		return err
	}
}
