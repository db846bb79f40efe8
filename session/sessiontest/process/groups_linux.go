package process

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// groups returns the process group pid and the groups that its descendants lead, such as those of PostgreSQL's server processes.
func groups(pid int) []int {
	children, leads := map[int][]int{}, map[int]bool{}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile("/proc/" + entry.Name() + "/stat")
		// proc_pid_stat(5): pid (name) state parent group …; a name may hold anything, also parentheses.
		var state string
		var parent, group int
		_, err = fmt.Sscan(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), &state, &parent, &group)
		if err == nil {
			children[parent] = append(children[parent], child)
			leads[child] = group == child
		}
	}
	list := []int{pid}
	for family := children[pid]; len(family) > 0; family = family[1:] {
		if leads[family[0]] && !slices.Contains(list, family[0]) {
			list = append(list, family[0])
		}
		family = append(family, children[family[0]]...)
	}
	return list
}
