package chart

import (
	"fmt"
	"strings"
)

// Style is the CSS that charts on a page need: their variables, for light and for dark.
func Style() string {
	var light, dark strings.Builder
	for i, c := range palette {
		fmt.Fprintf(&light, "--chart-%d:%s;", i+1, c.light)
		fmt.Fprintf(&dark, "--chart-%d:%s;", i+1, c.dark)
	}
	return ":root{color-scheme:light dark;--chart-ink:#1c1c1c;--chart-grid:#d5d5d5;" + light.String() + "}\n" +
		"@media (prefers-color-scheme:dark){:root{--chart-ink:#e6e6e6;--chart-grid:#454545;" + dark.String() + "}}\n"
}

// File makes a file of its own of a chart: with its style, and with what it shows in words.
func File(svg []byte, alt string) []byte {
	text := string(svg)
	end := strings.Index(text, ">") + 1
	head := strings.Replace(text[:end], "<svg", `<svg role="img"`, 1)
	return []byte(head + "\n<title>" + escape.Replace(alt) + "</title>\n<style>" + Style() + "</style>" + text[end:])
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
