package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"unicode"

	"stateless-servers/lab/explore"
)

//go:embed page.tmpl
var pageText string

// A section is what the page shows of a configuration.
type section struct {
	row
	result
	anchor string // of the peer's heading
}

// A peer has the configurations of one folder in peers, and the text about them from its README.
type peer struct {
	Folder   string // empty for the sample application
	Title    string
	About    string // the text about what was found
	Sections []section
}

// A content is the content of the page.
type content struct{ Peers []peer }

// Stacks and Configurations count what was explored beside this library.
func (c content) Stacks() int { return len(c.Peers) - 1 }

// Configurations returns how many lines of the tables belong to them.
func (c content) Configurations() int {
	n := 0
	for _, p := range c.Peers {
		if p.Folder != "" {
			n += len(p.Sections)
		}
	}
	return n
}

// Scenarios returns the names of the columns, which all configurations share.
func (c content) Scenarios() (names []string) {
	for _, scenario := range c.Peers[0].Sections[0].Pairs() {
		names = append(names, scenario.Name)
	}
	return names
}

// Sequential returns how many broken orders are without overlap in cells that have others too.
func (c content) Sequential() int {
	n := 0
	for _, p := range c.Peers {
		for _, s := range p.Sections {
			for _, scenario := range s.Pairs() {
				if scenario.Orders.Sequential < scenario.Orders.Broken {
					n += scenario.Orders.Sequential
				}
			}
		}
	}
	return n
}

// writePage writes docs/field.md from the results.
func writePage(root string) error {
	text, err := page(root)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "docs", "field.md"), text, 0o644)
}

func page(root string) ([]byte, error) {
	var peers []peer
	for _, r := range rows() {
		res, err := r.read(root)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the result of %s: %w", r.name(), err)
		}
		if len(peers) == 0 || peers[len(peers)-1].Folder != r.peer() {
			p, err := readPeer(root, r.peer())
			if err != nil {
				return nil, err
			}
			peers = append(peers, p)
		}
		last := &peers[len(peers)-1]
		last.Sections = append(last.Sections, section{r, res, anchor(last.Title)})
	}
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, content{peers})
	return b.Bytes(), err
}

// readPeer reads the README of a peer: its title, and the text from "What was found" on, one level of headings lower.
func readPeer(root, folder string) (peer, error) {
	if folder == "" {
		return peer{Title: "This library"}, nil
	}
	text, err := os.ReadFile(filepath.Join(root, "peers", folder, "README.md"))
	if err != nil {
		return peer{}, err
	}
	title, rest, _ := strings.Cut(strings.TrimPrefix(string(text), "# "), "\n")
	_, about, found := strings.Cut(rest, "\n## What was found")
	if !found {
		return peer{}, fmt.Errorf(`peers/%s/README.md has no heading "## What was found"`, folder)
	}
	about = strings.ReplaceAll("\n## What was found"+about, "\n#", "\n##")
	links := strings.NewReplacer("](../../docs/", "](", "](../", "](../peers/") // of the README, as the page needs them
	return peer{Folder: folder, Title: title, About: links.Replace(strings.TrimSpace(about))}, nil
}

// anchor returns the anchor that GitHub gives a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// Configuration returns the name of the configuration, and of the store for the sample application.
func (s section) Configuration() string {
	if s.peer() == "" {
		return s.Server + ", " + s.Store
	}
	return s.Server
}

// Settings says whether the settings are the defaults.
func (s section) Settings() string { return s.settings }

// Anchor returns the anchor of the heading that GitHub makes of the peer's title.
func (s section) Anchor() string { return s.anchor }

// Pairs returns the scenarios in which requests overlap.
func (s section) Pairs() []explore.Scenario { return s.scenarios(2) }

func (s section) scenarios(requests int) (list []explore.Scenario) {
	for _, scenario := range s.Scenarios {
		if len(scenario.Requests) == requests {
			list = append(list, scenario)
		}
	}
	return list
}

// Orders formats the broken and the explored orders of a scenario. An asterisk marks broken orders without an overlap, and a plus sign
// orders that were not all explored.
func (section) Orders(s explore.Scenario) string {
	text := fmt.Sprintf("%d of %d", s.Orders.Broken, s.Orders.Explored)
	if !s.Orders.Complete {
		text += "+"
	}
	switch {
	case s.Orders.Broken == 0:
		return text
	case s.Orders.Sequential == s.Orders.Broken:
		return text + "\\*"
	}
	return "**" + text + "**"
}

// Failures sums the schedules with a failure of the scenarios with that many requests.
func (s section) Failures(requests int) string {
	var sum explore.Counts
	sum.Complete = true
	if requests > 1 && s.alone {
		return "–"
	}
	for _, scenario := range s.scenarios(requests) {
		sum.Explored += scenario.Faults.Explored
		sum.Broken += scenario.Faults.Broken
		sum.Complete = sum.Complete && scenario.Faults.Complete
	}
	text := fmt.Sprintf("%d of %d", sum.Broken, sum.Explored)
	if !sum.Complete {
		text += "+"
	}
	if sum.Broken > 0 {
		return "**" + text + "**"
	}
	return text
}

// Acknowledged lists the failures of a single request that were answered with success although a promise was broken.
func (s section) Acknowledged() string {
	sum := map[explore.Fault]int{}
	for _, scenario := range s.scenarios(1) {
		for fault, n := range scenario.Faults.Acknowledged {
			sum[fault] += n
		}
	}
	var list []string
	for _, fault := range explore.Faults() {
		if sum[fault] > 0 {
			list = append(list, fmt.Sprintf("%s %d", fault, sum[fault]))
		}
	}
	if len(list) == 0 {
		return "none"
	}
	return "**" + strings.Join(list, ", ") + "**"
}

// Calls lists the store calls of each request that runs alone, without a failure.
func (s section) Calls() string {
	var list []string
	for _, scenario := range s.scenarios(1) {
		list = append(list, fmt.Sprint(scenario.Calls))
	}
	return strings.Join(list, ", ")
}

// Hangs says how requests are answered while the store hangs.
func (s section) Hangs() string {
	var list []string
	for _, h := range s.Hanging {
		text := fmt.Sprintf("%s after %.1f s", h.Answer, h.Seconds)
		if h.Answer == "no answer" {
			text = "no answer in 15 s"
		}
		if len(list) == 0 || list[len(list)-1] != text {
			list = append(list, text)
		}
	}
	return strings.Join(list, "; ")
}

// Millis returns the CPU time of a request by its position in the list, or a dash.
func (s section) Millis(i int) string {
	if i >= len(s.CPU) {
		return "–"
	}
	return fmt.Sprintf("%.2f", s.CPU[i].Millis)
}

// A finding is a line of the table of findings.
type finding struct {
	explore.Finding
	Scenario explore.Scenario
	Diagram  string // empty for none
}

// Findings returns the simplest schedule of each scenario for each promise that it breaks.
func (s section) Findings() (list []finding) {
	drawn := s.drawn()
	for _, scenario := range s.Scenarios {
		for _, f := range scenario.Findings {
			diagram := ""
			if drawn[f.Promise].scenario == scenario.Name {
				diagram = "field/" + s.diagram(f.Promise)
			}
			list = append(list, finding{f, scenario, diagram})
		}
	}
	return list
}

// Picture returns the finding to draw on the page: a session that is alive after logout if there is one, or else the first one
// of requests that overlap.
func (p peer) Picture() *finding {
	var first *finding
	for _, s := range p.Sections {
		for _, f := range s.Findings() {
			switch {
			case f.Diagram == "" || len(f.Scenario.Requests) == 1:
			case f.Promise == explore.AliveAfter:
				return &f
			case first == nil:
				first = &f
			}
		}
	}
	return first
}
