package web_test

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// A page is the part of an HTML page that a visitor without JavaScript can see and use.
type page struct {
	text           string
	offered        []string // the actions of forms with an enabled button; all lines of the cart count as one
	store, meaning string
	limitations    []string // the store's limitations
	reasons        []string // why controls are disabled, without duplicates
}

func readPage(t *testing.T, r response) page {
	t.Helper()
	type element struct {
		name, class, action string
		off                 bool // hidden or disabled, or inside such an element
	}
	var p page
	var open []element
	last := func() element { return open[len(open)-1] }
	decoder := xml.NewDecoder(strings.NewReader(r.Body))
	decoder.Strict, decoder.AutoClose, decoder.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		part, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch part := part.(type) {
		case xml.StartElement:
			e := element{name: part.Name.Local}
			if len(open) > 0 {
				e.action, e.off = last().action, last().off
			}
			for _, attribute := range part.Attr {
				switch attribute.Name.Local {
				case "hidden", "disabled":
					e.off = true
				case "class":
					e.class = attribute.Value
				case "action":
					e.action = attribute.Value
				}
			}
			if e.name == "button" && !e.off {
				if strings.HasPrefix(e.action, "/api/cart/") {
					e.action = "/api/cart/"
				}
				p.offered = append(p.offered, e.action)
			}
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			text := strings.TrimSpace(string(part))
			p.text += text + "\n"
			if len(open) < 2 || text == "" {
				continue
			}
			switch within := open[len(open)-2]; {
			case within.class == "limits":
				p.limitations = append(p.limitations, text)
			case last().class == "why":
				p.reasons = append(p.reasons, text)
			case last().class == "store":
				p.store = text
			case p.store != "" && p.meaning == "":
				p.meaning = text
			}
		}
	}
	slices.Sort(p.offered)
	p.offered = slices.Compact(p.offered)
	slices.Sort(p.reasons)
	p.reasons = slices.Compact(p.reasons)
	return p
}
