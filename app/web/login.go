package web

import (
	"context"
	"errors"
	"net/http"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"stateless-servers/session"
)

// A Login authenticates visitors at a third party, the provider. One server may begin a login and another finish it.
type Login interface {
	// Begin begins a login and returns the provider's address to redirect the visitor to. It returns an error if the
	// provider doesn't respond.
	Begin(http.ResponseWriter, *http.Request) (address string, err error)
	// Finish finishes a login when the provider redirects the visitor back. The subject identifies the user permanently; the
	// name is for display and may be "". If the login isn't accepted, the error has a method Reason() string, which returns
	// the reason for visitors. Any other error means that the provider doesn't respond.
	Finish(http.ResponseWriter, *http.Request) (subject, name string, err error)
	// LogoutURL returns the provider's address to redirect a visitor to after a logout, or "". It doesn't wait for the
	// provider.
	LogoutURL() (address string)
}

// displayName is the user's name from the provider. Only the user sees it.
const displayName = session.Key[string]("name")

func (s *server) beginLogin(w http.ResponseWriter, r *http.Request) {
	address, err := s.Login.Begin(w, r)
	if err != nil {
		writeUnavailable(w, r, s.Logger, "The login provider", err)
		return
	}
	redirectToProvider(w, r, address)
}

// finishLogin logs the subject in and redirects to the page.
func (s *server) finishLogin(w http.ResponseWriter, r *http.Request) {
	subject, name, err := s.Login.Finish(w, r)
	if err != nil {
		s.writeLoginError(w, r, err)
		return
	}
	if !isName(name) {
		name = subject
	}
	_, ok := s.logIn(w, r, func(ctx context.Context) error {
		displayName.Set(ctx, name)
		return session.From(ctx).Login(ctx, subject)
	})
	if ok {
		s.redirectToHome(w, r)
	}
}

func (s *server) writeLoginError(w http.ResponseWriter, r *http.Request, err error) {
	var refusal interface {
		error
		Reason() string
	}
	if !errors.As(err, &refusal) {
		writeUnavailable(w, r, s.Logger, "The login provider", err)
		return
	}
	if errors.Unwrap(refusal) != nil { // a cause that visitors don't see
		s.Logger.WarnContext(r.Context(), "login refused", "error", err)
	}
	writeError(w, r, http.StatusForbidden, refusal.Reason())
}

// endAndRedirect ends sessions with the function end, and then redirects to the provider's logout if there is one. The
// sessions end even if the provider doesn't respond.
func (s *server) endAndRedirect(w http.ResponseWriter, r *http.Request, end func(context.Context) error) {
	ctx := r.Context()
	user := ""
	if s.Login != nil {
		user, _ = session.From(ctx).User(ctx) // end returns the same error
	}
	if err := end(ctx); err != nil {
		s.sessionError(w, r, err)
		return
	}
	s.setTrace(w, r, seenCookie, trace{}, 0)
	s.setTrace(w, r, lostCookie, trace{}, 0)
	if user != "" {
		if address := s.Login.LogoutURL(); address != "" {
			redirectToProvider(w, r, address)
			return
		}
	}
	state, err := s.state(ctx)
	if err != nil {
		s.sessionError(w, r, err)
		return
	}
	s.reply(w, r, state)
}

// redirectToProvider redirects the visitor to an address of the provider. In response to a form it sends a page that
// refreshes to that address instead, because browsers apply the policy's form-action also to redirects, and the provider's
// further redirects can't be listed there.
func redirectToProvider(w http.ResponseWriter, r *http.Request, address string) {
	if !isForm(r) {
		w.Header().Set("Location", address)
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	w.Header().Set("Refresh", "0; url="+address)
	writePage(w, http.StatusOK, document("Log in", nil, nil,
		h.Section(h.Class("hero"),
			h.H1(h.Span(h.Class("name"), g.Text("Continue to the login provider"))),
			h.Div(h.Class("row"), h.A(h.Class("button"), h.Href(address), g.Text("Continue"))),
		),
	))
}
