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

// healthPath is the path of health checks. The status 200 means healthy.
const healthPath = "/healthz"

// newHealthClient returns a client that opens a connection for each check, as an ALB does, to notice a server that accepts none.
func newHealthClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:       timeout,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// checkHealth checks the target at once and then at every interval, until ctx ends.
func (b *Balancer) checkHealth(ctx context.Context, t *target) {
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
		if next := b.nextState(state, succeeded, failed); next != state {
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

// nextState returns the state after a check, given the numbers of consecutive checks that have succeeded and failed.
func (b *Balancer) nextState(state TargetState, succeeded, failed int) TargetState {
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
	response, err := b.healthClient.Do(request)
	if err != nil {
		return shortError(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s answered %d", healthPath, response.StatusCode)
	}
	return nil
}

// shortError returns a short description of why a check failed.
func shortError(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused")
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("no response in time")
	default:
		return err
	}
}
