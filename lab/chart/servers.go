package chart

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// serverColours has the colours of servers, for dark text on light and on dark pages. The sample application has the same ones.
var serverColours = []string{"#f6a564", "#f3d95b", "#7fc4f8", "#c9aefc", "#86d3a2", "#ff9eae", "#66d5cf", "#cdbfa4"}

// ServerClass returns the CSS class of server number n, counted from 1. Further servers repeat the colours; their numbers tell
// them apart.
func ServerClass(n int) string { return fmt.Sprintf("server-%d", max(n-1, 0)%len(serverColours)) }

// ServerNumber returns the number of a server that is called for example server-12, or 0 if the name has another form.
func ServerNumber(name string) int {
	n, err := strconv.Atoi(name[strings.LastIndex(name, "-")+1:])
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// CompareNames orders names naturally: server-2 before server-10.
func CompareNames(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) }

// ServerStyle returns the CSS that sets the variable --tile to the colour of each class.
func ServerStyle() string {
	var style strings.Builder
	for i, colour := range serverColours {
		fmt.Fprintf(&style, ".%s{--tile:%s}\n", ServerClass(i+1), colour)
	}
	return style.String()
}
