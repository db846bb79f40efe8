package main

import (
	"context"
	"net/http"
)

// bareMiddleware is the floor of a request that doesn't use its session: what any middleware needs that hands a session to
// the handlers behind it, and stores it before the response begins.
type bareMiddleware struct{ nothing }

var _ library = bareMiddleware{}

func openBareMiddleware(string) (library, error) { return bareMiddleware{}, nil }

func (bareMiddleware) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := &between{Context: r.Context(), ResponseWriter: w}
		next.ServeHTTP(b, r.WithContext(b))
	})
}

// between is a request's context and response.
type between struct {
	context.Context
	http.ResponseWriter
}
