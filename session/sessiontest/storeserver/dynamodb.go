package storeserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"stateless-servers/session/sessiontest/process"
)

// pom is the Maven project with the pinned version of DynamoDB Local.
//
//go:embed dynamodb/pom.xml
var pom []byte

// jettyConfig is the Jetty configuration of the server. DynamoDB Local's own command line listens on all addresses of the
// machine and reports usage to Amazon; this one listens on 127.0.0.1 and reports nothing.
//
//go:embed dynamodb/server.xml
var jettyConfig []byte

// DynamoDB starts Amazon DynamoDB Local, which needs Java 17. Maven downloads it once into the user's cache directory. It keeps its
// tables in memory and accepts any region and credentials. DYNAMODB_TEST_ENDPOINT (http://host:port) names a running server
// instead, which must support transactions. ctx limits the start, with the download, not the lifetime of the server.
func DynamoDB(ctx context.Context, list ...Option) (*Server, error) {
	o, err := applyOptions("dynamodb", list)
	if err != nil {
		return nil, err
	}
	l := launcher{name: "DynamoDB", http: true, ping: pingHTTP}
	if endpoint := o.external("DYNAMODB_TEST_ENDPOINT"); endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("DYNAMODB_TEST_ENDPOINT=%q: allowed is an http:// or https:// address", endpoint)
		}
		return external(ctx, "DYNAMODB_TEST_ENDPOINT", u.Host, l)
	}
	if l, err = dynamoDBLocal(ctx, o); err != nil {
		return nil, fmt.Errorf("no DynamoDB: install Java 17 and Maven, or set DYNAMODB_TEST_ENDPOINT to a running one (%w)", err)
	}
	s, err := start(ctx, l)
	if err != nil {
		return nil, fmt.Errorf("DynamoDB Local, which needs Java 17: %w", err)
	}
	return s, nil
}

func dynamoDBLocal(ctx context.Context, o options) (launcher, error) {
	if runtime.GOOS == "linux" && runtime.GOARCH != "amd64" {
		return launcher{}, errors.New("DynamoDB Local: Maven Central has no SQLite for this processor")
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return launcher{}, errors.New("DynamoDB Local: no java in the PATH")
	}
	// The folder name has a hash of the two files, so that a change of a file is fetched again.
	state := sha256.Sum256(append(bytes.Clone(pom), jettyConfig...))
	dir, err := cached(ctx, o, fmt.Sprintf("dynamodb-local-%x", state[:6]), func(ctx context.Context, dir string) error {
		o.progress("Fetching DynamoDB Local with Maven, once; this takes about a minute")
		err := errors.Join(
			os.WriteFile(filepath.Join(dir, "pom.xml"), pom, 0o644),
			os.WriteFile(filepath.Join(dir, "server.xml"), jettyConfig, 0o644))
		if err != nil {
			return err
		}
		return run(ctx, dir, "mvn", "-q", "-B", "-Dstyle.color=never",
			"dependency:copy-dependencies", "-DoutputDirectory=lib")
	})
	if err != nil {
		return launcher{}, fmt.Errorf("DynamoDB Local: %w", err)
	}
	libraries := filepath.Join(dir, "lib")
	return launcher{name: "DynamoDB Local", http: true, ping: pingHTTP, version: dynamoDBLocalVersion,
		command: func(port int, data string) process.Command {
			return process.Command{Path: java, Args: []string{
				"-Djava.io.tmpdir=" + data, // SQLite leaves its library there
				"-Djava.library.path=" + libraries, "-cp", filepath.Join(libraries, "*"),
				"org.eclipse.jetty.xml.XmlConfiguration", "port=" + strconv.Itoa(port), filepath.Join(dir, "server.xml"),
			}}
		}}, nil
}

// pingHTTP returns nil if the server replies to an HTTP request with any status.
func pingHTTP(ctx context.Context, addr string, _ int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
