package main

import (
	"context"
	"net/http"
)

// bareMiddleware is the baseline of a request that doesn't use its session. It does the least that any session middleware must:
// pass a value in the request's context, and wrap the response writer to be able to save before the response begins.
type bareMiddleware struct{ noLibrary }

var _ library = bareMiddleware{}

func openBareMiddleware(string) (library, error) { return bareMiddleware{}, nil }

func (bareMiddleware) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &contextWriter{Context: r.Context(), ResponseWriter: w}
		next.ServeHTTP(c, r.WithContext(c))
	})
}

// A contextWriter is the context of a request and the writer of its response in one allocation.
type contextWriter struct {
	context.Context
	http.ResponseWriter
}
