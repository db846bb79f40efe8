package web

import (
	"context"
	"errors"
	"net/http"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"stateless-servers/session"
)

// A Login has a third party, the provider, say who visitors are, so that the application asks for no name. A login that
// one server began, another may finish.
type Login interface {
	// Begin returns where the visitor goes to log in. An error is that the provider doesn't answer.
	Begin(http.ResponseWriter, *http.Request) (address string, err error)
	// Finish returns who comes back from there: subject is who they are for good, and name is how they know themselves, or
	// "". An error with a method Reason() string is that the login isn't accepted, for a reason that visitors are told, and
	// any other that the provider doesn't answer.
	Finish(http.ResponseWriter, *http.Request) (subject, name string, err error)
	// End returns where a visitor goes who has logged out here, to log out there too, or "". It doesn't wait for the provider.
	LogoutURL() (address string)
}

// displayName is how the provider's visitor knows themselves. It is shown to nobody else.
const displayName = session.Key[string]("name")

func (s *server) beginLogin(w http.ResponseWriter, r *http.Request) {
	address, err := s.Login.Begin(w, r)
	if err != nil {
		writeUnavailable(w, r, s.Logger, "The login provider", err)
		return
	}
	redirectToProvider(w, r, address)
}

// finishLogin logs the subject in. It leads to the page, and nowhere else.
func (s *server) finishLogin(w http.ResponseWriter, r *http.Request) {
	subject, name, err := s.Login.Finish(w, r)
	if err != nil {
		s.writeLoginError(w, r, err)
		return
	}
	if err := logIn(r.Context(), subject, name); err != nil {
		s.sessionError(w, r, err)
		return
	}
	s.recordServer(w, r)
	w.Header().Set("Location", "/")
	w.WriteHeader(http.StatusSeeOther)
}

// logIn logs in the subject, and stores the name in the new session.
func logIn(ctx context.Context, subject, name string) error {
	if !isName(name) {
		name = subject
	}
	displayName.Set(ctx, name)
	return session.From(ctx).Login(ctx, subject)
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
	if errors.Unwrap(refusal) != nil { // something that the visitor isn't told
		s.Logger.WarnContext(r.Context(), "login refused", "error", err)
	}
	writeError(w, r, http.StatusForbidden, refusal.Reason())
}

// endAndRedirect ends sessions, and where a provider knows the visitor, leads there. What is ended here is ended whether the
// provider answers or not.
func (s *server) endAndRedirect(w http.ResponseWriter, r *http.Request, end func(context.Context) error) {
	ctx := r.Context()
	user := ""
	if s.Login != nil {
		user, _ = session.From(ctx).User(ctx) // end tells what is wrong
	}
	err := end(ctx)
	if err == nil && user != "" {
		if address := s.Login.LogoutURL(); address != "" {
			redirectToProvider(w, r, address)
			return
		}
	}
	s.respondWithSession(w, r, err)
}

// redirectToProvider leads the visitor to an address of the provider's. A form is led by a page of its own: browsers hold redirects of
// a form to the policy's form-action, too, and which sites a provider leads on to, nobody can list.
func redirectToProvider(w http.ResponseWriter, r *http.Request, address string) {
	if !isForm(r) {
		w.Header().Set("Location", address)
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	w.Header().Set("Refresh", "0; url="+address)
	writePage(w, http.StatusOK, document("Going on", nil,
		h.Section(h.Class("hero"),
			h.H1(h.Span(h.Class("name"), g.Text("Going on to the login provider"))),
			h.Div(h.Class("row"), h.A(h.Class("button"), h.Href(address), g.Text("Go there"))),
		),
	))
}
