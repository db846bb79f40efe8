// Package machine describes the computer on which a measurement runs. Current returns the description. Results of load tests
// and experiments carry it, so that readers compare only figures of similar machines.
package machine

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// Machine describes a computer and the program that measures on it. Unknown fields are empty or 0.
type Machine struct {
	System    string  `json:"system"`    // such as linux/amd64
	Processor string  `json:"processor"` // the processor's model
	CPUs      int     `json:"cpus"`
	MemoryGB  float64 `json:"memory_gb"` // 10⁹ bytes
	Load      float64 `json:"load"`      // the load average of the last minute
	Go        string  `json:"go"`        // the compiler's version
	Revision  string  `json:"revision"`  // the commit from which this program was built
}

// Current describes the machine on which the program runs. The processor, the memory and the load are known on Linux only.
func Current() Machine {
	m := Machine{System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version()}
	m.Processor = field("/proc/cpuinfo", "model name")
	if words := strings.Fields(field("/proc/meminfo", "MemTotal")); len(words) == 2 {
		kibibytes, _ := strconv.ParseFloat(words[0], 64)
		m.MemoryGB = kibibytes * 1024 / 1e9
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(text), &m.Load)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				m.Revision = setting.Value
			}
		}
	}
	return m
}

// String describes the machine in one line.
func (m Machine) String() string {
	text := fmt.Sprintf("%s, %d CPUs", m.System, m.CPUs)
	if m.Processor != "" {
		text += " (" + m.Processor + ")"
	}
	if m.MemoryGB > 0 {
		text += fmt.Sprintf(", %.1f GB", m.MemoryGB)
	}
	if m.Go != "" {
		text += ", " + m.Go
	}
	if m.Load > 0 {
		text += fmt.Sprintf(", load %.1f at the start", m.Load)
	}
	return text
}

// field returns the value of the first line "name: value" of the file, or "" if there is none.
func field(path, name string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
