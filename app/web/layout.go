package web

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// The pages use gomponents instead of html/template to keep the server small: 16.3 MB instead of 29.7 MB (linux/arm64,
// stripped). A template calls methods by name at run time, so the linker would have to keep every exported method of every
// type, and the clients of the stores have thousands. test/size_test.go checks the size. gomponents escapes text and
// attributes. A visitor's input must not be used where that isn't enough: in an address, a style or a script.

// document returns a whole page. Its header ends with bar and its footer begins with data, which may be nil.
func document(title string, bar, data g.Node, content ...g.Node) g.Node {
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.TitleEl(g.Text(title+" – Stateless Servers")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.Meta(h.Name("color-scheme"), h.Content("light dark")),
			h.Meta(h.Name("description"),
				h.Content("A web application on stateless servers: any server can respond.")),
			h.Link(h.Rel("icon"), h.Href(assetURL("icon.svg")), h.Type("image/svg+xml")),
			h.Link(h.Rel("stylesheet"), h.Href(assetURL("style.css"))),
			h.Script(h.Src(assetURL("script.js")), h.Defer()),
		),
		h.Body(
			h.A(h.Class("skip"), h.Href("#main"), g.Text("Skip to the content")),
			h.Header(h.Class("bar"),
				h.A(h.Class("brand"), h.Href("/"),
					h.Span(h.Class("mark"), ariaHidden(),
						h.I(h.Class("server-4")), h.I(h.Class("server-0")), h.I(h.Class("server-2"))),
					g.Text("Stateless Servers")),
				bar,
			),
			h.Main(h.ID("main"), h.TabIndex("-1"), g.Group(content)),
			h.Footer(
				data,
				h.P(g.Text("This is a lab. It asks for no password.")),
			),
		),
	))
}

// errorDocument returns the page of an error. If the session has ended, it offers a logout, which allows a new session.
func errorDocument(status int, detail, server string) g.Node {
	title, ended := http.StatusText(status), status == http.StatusConflict
	toPage := "button"
	if ended {
		toPage = "button quiet"
	}
	return document(fmt.Sprintf("%d %s", status, title), nil, nil,
		h.Section(h.Class("hero failure"),
			h.H1(
				h.Span(h.Class("label"), g.Text(strconv.Itoa(status))), space(),
				h.Span(h.Class("name"), g.Text(title)),
			),
			h.P(h.Class("where"), g.Text(detail)),
			h.Div(h.Class("row"),
				g.If(ended, postForm("/logout", h.Button(g.Text("Start afresh")))),
				h.A(h.Class(toPage), h.Href("/"), g.Text("Open the application")),
			),
			g.If(server != "", h.P(h.Class("where"), g.Text("Answered by "+server))),
		),
	)
}

// panel returns a section of the page with a heading.
func panel(class, name, title string, content ...g.Node) g.Node {
	heading := name + "-title"
	return h.Section(h.Class(class), h.Aria("labelledby", heading),
		h.H2(h.ID(heading), g.Text(title)),
		g.Group(content))
}

// controls returns controls. If reason isn't empty, they are disabled, and the reason is shown.
func controls(reason string, content ...g.Node) g.Node {
	return g.Group{
		reasonText(reason),
		h.FieldSet(g.If(reason != "", h.Disabled()), g.Group(content)),
	}
}

// reasonText returns a paragraph with the reason, if it isn't empty.
func reasonText(reason string) g.Node {
	return g.If(reason != "", h.P(h.Class("why"), g.Text(reason)))
}

// status returns the element in which static/script.js shows the result of an action.
func status(text string) g.Node {
	return h.P(h.Class("status"), h.Role("status"), g.Text(text))
}

// postForm returns a form, which works without JavaScript.
func postForm(action string, content ...g.Node) g.Node {
	return h.Form(h.Method("post"), h.Action(action), g.Group(content))
}

// timeElement returns a time element. It is empty if t is nil.
func timeElement(t *time.Time, attributes ...g.Node) g.Node {
	if t == nil {
		return h.Time(attributes...)
	}
	return h.Time(g.Group(attributes), h.DateTime(t.UTC().Format(time.RFC3339)), g.Text(formatTime(*t)))
}

func formatTime(t time.Time) string { return t.UTC().Format("2 Jan, 15:04 UTC") }

// formatCents formats an amount of cents, such as 12.50.
func formatCents(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }

// space separates the words of adjacent elements.
func space() g.Node { return g.Text(" ") }

// ariaHidden hides an element from screen readers.
func ariaHidden() g.Node { return h.Aria("hidden", "true") }

// hiddenIf hides an element if the condition holds. static/script.js may show it later.
func hiddenIf(condition bool) g.Node { return g.If(condition, g.Attr("hidden")) }
