package browser

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"stateless-servers/session/sessiontest/must"
)

const (
	filmSeconds  = 18
	lastSeconds  = 4 // how long the last frame is shown
	maxFilmBytes = 400 << 10
)

// The README's moving picture shows that killing a server loses no session. With -update it is recorded anew, a frame per second,
// from the page of a lab.
func TestFilmOfAKilledServer(t *testing.T) {
	path := filepath.Join(root, "docs/images/fleet-kill")
	if *update {
		record(t, path)
	}
	file, err := os.ReadFile(path + ".gif")
	must.Succeed(t, err)
	film, err := gif.DecodeAll(bytes.NewReader(file))
	if err != nil || len(film.Image) != filmSeconds || film.LoopCount != 0 || len(file) > maxFilmBytes {
		t.Errorf("%v; the film has %d frames, %d loops and %d bytes, want %d, 0 (endless) and at most %d",
			err, len(film.Image), film.LoopCount, len(file), filmSeconds, maxFilmBytes)
	}
	if _, err := os.Stat(path + "-still.png"); err != nil {
		t.Error(err)
	}
}

func record(t *testing.T, path string) {
	l, b := labUp(t, "--health-interval", "2s"), newTab(t)
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 1280, Height: 800, DeviceScaleFactor: 0.75})
	b.open(l.url + "/_lab")
	b.click(".switch [value=low]")
	b.await("document.querySelector('.chart path[class^=server-]').getAttribute('d').split('M').length > 25")
	var frames []image.Image
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for second := range filmSeconds {
		switch second {
		case 2:
			b.click(row("server-2") + " .danger")
		case 8:
			b.click("form[action='/_lab/servers'] button")
		}
		<-ticker.C
		picture := must.Get(chromedp.Run(b.ctx, chromedp.CaptureScreenshot()))(t)
		frame := must.Get(png.Decode(bytes.NewReader(picture)))(t)
		frames = append(frames, frame)
	}
	var film, still bytes.Buffer
	animation, last := animate(frames)
	must.Succeed(t, gif.EncodeAll(&film, animation))
	must.Succeed(t, png.Encode(&still, last))
	for name, content := range map[string][]byte{path + ".gif": film.Bytes(), path + "-still.png": still.Bytes()} {
		must.Succeed(t, os.WriteFile(name, content, 0o644))
	}
}

// animate returns an animation of the frames, which has of each frame only the pixels that changed, and the last frame. Their
// colours are the most frequent one of each of the most frequent groups of similar colours.
func animate(frames []image.Image) (*gif.GIF, *image.Paletted) {
	count := map[color.Color]int{}
	bounds := frames[0].Bounds()
	each := func(visit func(x, y int)) {
		for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
			for x := bounds.Min.X; x < bounds.Max.X; x++ {
				visit(x, y)
			}
		}
	}
	for _, frame := range frames {
		each(func(x, y int) { count[frame.At(x, y)]++ })
	}
	colours := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return count[b] - count[a] })
	palette := color.Palette{color.Transparent}
	groups := map[[3]uint32]bool{}
	for _, c := range colours {
		r, g, b, _ := c.RGBA()
		if group := [3]uint32{r >> 12, g >> 12, b >> 12}; !groups[group] && len(palette) < 256 {
			groups[group] = true
			palette = append(palette, c)
		}
	}
	nearest := map[color.Color]uint8{}
	for _, c := range colours {
		nearest[c] = uint8(1 + palette[1:].Index(c)) // #nosec G115 -- of 256 colours
	}

	film := &gif.GIF{}
	last := image.NewPaletted(bounds, palette)
	for _, frame := range frames {
		changes := image.NewPaletted(bounds, palette)
		changed := image.Rectangle{}
		each(func(x, y int) {
			if index := nearest[frame.At(x, y)]; index != last.ColorIndexAt(x, y) {
				changes.SetColorIndex(x, y, index)
				last.SetColorIndex(x, y, index)
				changed = changed.Union(image.Rect(x, y, x+1, y+1))
			}
		})
		if changed.Empty() {
			changed = image.Rect(0, 0, 1, 1)
		}
		film.Image = append(film.Image, changes.SubImage(changed).(*image.Paletted))
		film.Delay = append(film.Delay, 100)
		film.Disposal = append(film.Disposal, gif.DisposalNone)
	}
	film.Delay[len(frames)-1] = 100 * lastSeconds
	return film, last
}
