package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"net/http"
	"path"
	"time"
)

//go:embed static
var staticFiles embed.FS

// An asset is a static file of the page.
type asset struct {
	content     []byte
	contentType string
	hash        string
}

var assets = loadAssets()

func loadAssets() map[string]asset {
	contentTypes := map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		panic(err) // the files are embedded in the binary
	}
	loaded := map[string]asset{}
	for _, entry := range entries {
		content, err := staticFiles.ReadFile("static/" + entry.Name())
		if err != nil {
			panic(err)
		}
		hash := fmt.Sprintf("%x", sha256.Sum256(content))[:16]
		loaded[entry.Name()] = asset{content, contentTypes[path.Ext(entry.Name())], hash}
	}
	return loaded
}

// assetURL returns the address of an asset. It contains a hash of the content, so that browsers may cache it forever.
func assetURL(name string) string { return "/static/" + name + "?v=" + assets[name].hash }

// serveAsset serves this server's version of an asset, even if the request asks for another: during a deployment, the page
// of a newer server may request its assets from an older server. Browsers may cache only the requested version.
func serveAsset(w http.ResponseWriter, r *http.Request) {
	file, found := assets[r.PathValue("name")]
	if !found {
		writeError(w, r, http.StatusNotFound, "There is nothing at this address.")
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.contentType)
	h.Set("Etag", `"`+file.hash+`"`)
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == file.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file.content))
}
