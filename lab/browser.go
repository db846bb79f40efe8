package main

import (
	"io"
	"os"
	"os/exec"
	"runtime"

	"github.com/mattn/go-isatty"
)

// terminal reports whether w is a terminal.
func terminal(w io.Writer) bool {
	file := fileOf(w)
	return file != nil && isatty.IsTerminal(file.Fd())
}

// openBrowser opens the URL in the default browser, if there is one. The lab ends every process that it starts except the browser.
func openBrowser(url string) {
	var c *exec.Cmd
	switch runtime.GOOS {
	case "darwin":
		c = exec.Command("open", url)
	case "windows":
		c = exec.Command("rundll32", "url.dll,FileProtocolHandler", url)
	default:
		if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
			return // xdg-open would start a browser in the terminal
		}
		c = exec.Command("xdg-open", url)
	}
	detach(c)
	if c.Start() == nil {
		go func() { _ = c.Wait() }()
	}
}
