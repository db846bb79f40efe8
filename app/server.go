package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/app/login"
	"stateless-servers/app/telemetry"
	"stateless-servers/app/web"
	"stateless-servers/session"
	"stateless-servers/session/sealing"
)

// Limits on a client's request. The slowest response of the application waits 2 s (?delay=) and for its store.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = time.Minute
	maxHeaderBytes    = 16 << 10 // enough for cookies of 4 KB; in memory it takes 25 times as much
)

// exportTimeout bounds the last export of traces and metrics, within DrainTimeout.
const exportTimeout = 5 * time.Second

// A server is the web server and, for metrics, the admin server.
type server struct {
	config       config.Config
	log          *slog.Logger
	web, admin   *http.Server
	storage      *storage
	telemetry    *telemetry.Telemetry // nil unless OTEL_ variables ask for it
	shuttingDown atomic.Bool
}

func newServer(ctx context.Context, c config.Config, logger *slog.Logger) (*server, error) {
	storage, err := openStorage(context.WithoutCancel(ctx), c, logger)
	if err != nil {
		return nil, err
	}
	telemetry, err := telemetry.Start(ctx, c.ServerName, logger)
	if err != nil {
		storage.close()
		return nil, err
	}
	metrics := newMetrics(storage.conflicts)
	var observer session.Observer = metrics
	if c.Store.ServerSide() { // the operations on a cookie or token call no database
		observer = telemetry.Observer(metrics)
	}
	sessions, err := storage.sessions(session.Options{
		CookieName: cookieName, IdleTimeout: c.IdleTimeout, Lifetime: c.Lifetime, StoreTimeout: c.StoreTimeout, PlainHTTP: c.PlainHTTP,
		ErrorHandler: web.ErrorHandler(logger), Observer: observer, Logger: logger,
	})
	if err != nil {
		storage.close()
		return nil, err
	}
	login, err := newLogin(ctx, c)
	if err != nil {
		storage.close()
		return nil, err
	}
	s := &server{config: c, log: logger, storage: storage, telemetry: telemetry}
	handler := web.New(web.Options{
		Server: c.ServerName, Zone: c.Zone, Sessions: sessions, Board: storage.board, BoardTimeout: c.StoreTimeout,
		Login: login, KeySet: storage.keySet, Ready: s.ready, PlainHTTP: c.PlainHTTP, AllowDelay: c.AllowDelay, Sticky: c.Sticky,
		FleetPage: c.FleetPage, Logger: logger,
	})
	errorLog := slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	s.web = &http.Server{
		Handler: metrics.instrument(telemetry.Handler(handler)), ErrorLog: errorLog, MaxHeaderBytes: maxHeaderBytes,
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: c.KeepAlive,
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.handler())
	s.admin = &http.Server{Handler: mux, ErrorLog: errorLog, ReadHeaderTimeout: readHeaderTimeout}
	return s, nil
}

// newLogin returns the login at the configured provider, or nil if there is none. It requests the provider's configuration
// in the background until ctx ends.
func newLogin(ctx context.Context, c config.Config) (web.Login, error) {
	if c.OIDCIssuer == "" {
		return nil, nil
	}
	keys, err := sealing.ParseKeys(c.SessionKeys)
	if err != nil {
		return nil, err
	}
	client, err := login.New(login.Options{
		Issuer: c.OIDCIssuer, ClientID: c.OIDCClientID, ClientSecret: c.OIDCClientSecret, RedirectURL: c.OIDCRedirectURL,
		Keys: keys, PlainHTTP: c.PlainHTTP,
	})
	if err != nil {
		return nil, err
	}
	go client.Prepare(ctx)
	return client, nil
}

// ready returns an error once the server is shutting down.
func (s *server) ready(context.Context) error {
	if s.shuttingDown.Load() {
		return errors.New("the server is shutting down")
	}
	return nil
}

// run listens and serves until ctx ends or listening fails, then drains.
func (s *server) run(ctx context.Context) error {
	defer s.storage.close()
	web, err := net.Listen("tcp", s.config.Addr)
	if err != nil {
		return fmt.Errorf("web server: %w", err)
	}
	admin, err := net.Listen("tcp", s.config.AdminAddr)
	if err != nil {
		web.Close()
		return fmt.Errorf("admin server: %w", err)
	}
	failed := make(chan error, 2)
	connections := maxConnections(s.config.MaxConnections)
	go func() { failed <- s.web.Serve(newBoundedListener(web, connections)) }()
	go func() { failed <- s.admin.Serve(admin) }()
	defer s.admin.Close()
	s.log.Info("serving", "addr", web.Addr().String(), "admin", admin.Addr().String(), "store", string(s.config.Store), "zone", s.config.Zone,
		"connections", connections)

	select {
	case err := <-failed:
		s.web.Close()
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return s.drain()
	}
}

// drain makes /readyz fail, waits for ShutdownDelay so that load balancers notice, and then lets requests in flight finish,
// within DrainTimeout.
func (s *server) drain() error {
	s.shuttingDown.Store(true)
	s.log.Info("draining", "at_most", s.config.DrainTimeout.String())
	ctx, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
	defer cancel()
	time.Sleep(s.config.ShutdownDelay)
	defer s.export(ctx)
	if err := s.web.Shutdown(ctx); err != nil {
		s.web.Close()
		return fmt.Errorf("requests were still in flight after %v: %w", s.config.DrainTimeout, err)
	}
	s.log.Info("stopped")
	return nil
}

// export exports what is left of the telemetry. A collector that is down only costs a warning.
func (s *server) export(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	if err := s.telemetry.Close(ctx); err != nil {
		s.log.Warn("telemetry", "error", err)
	}
}
