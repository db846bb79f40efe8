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

// pom is the project that Maven resolves; it pins the version of DynamoDB Local.
//
//go:embed dynamodb/pom.xml
var pom []byte

// assembly is how Jetty puts the server together. DynamoDB Local's own command line listens on every address of the
// machine and reports usage to Amazon; this one listens on 127.0.0.1 and reports nothing.
//
//go:embed dynamodb/server.xml
var assembly []byte

// DynamoDB starts Amazon DynamoDB Local, which Maven fetches once into the user's cache folder, and which needs Java 17. It
// keeps its tables in memory and takes any region and credentials. DYNAMODB_TEST_ENDPOINT (http://host:port) names a
// running server instead, which must have transactions. ctx bounds the start, with the fetching, not the life of the server.
func DynamoDB(ctx context.Context, list ...Option) (*Server, error) {
	o, err := apply("dynamodb", list)
	if err != nil {
		return nil, err
	}
	l := launch{name: "DynamoDB", http: true, answered: answersHTTP}
	if endpoint := o.running("DYNAMODB_TEST_ENDPOINT"); endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("DYNAMODB_TEST_ENDPOINT=%q: allowed is an http:// or https:// address", endpoint)
		}
		return foreign(ctx, "DYNAMODB_TEST_ENDPOINT", u.Host, l)
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

func dynamoDBLocal(ctx context.Context, o options) (launch, error) {
	if runtime.GOOS == "linux" && runtime.GOARCH != "amd64" {
		return launch{}, errors.New("DynamoDB Local: Maven Central has no SQLite for this processor")
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return launch{}, errors.New("DynamoDB Local: no java in the PATH")
	}
	// A folder for each state of the two files: a cached one never holds older versions.
	state := sha256.Sum256(append(bytes.Clone(pom), assembly...))
	dir, err := cached(ctx, o, fmt.Sprintf("dynamodb-local-%x", state[:6]), func(ctx context.Context, dir string) error {
		o.progress("Fetching DynamoDB Local with Maven, once; this takes about a minute")
		err := errors.Join(
			os.WriteFile(filepath.Join(dir, "pom.xml"), pom, 0o644),
			os.WriteFile(filepath.Join(dir, "server.xml"), assembly, 0o644))
		if err != nil {
			return err
		}
		return run(ctx, dir, "mvn", "-q", "-B", "-Dstyle.color=never",
			"dependency:copy-dependencies", "-DoutputDirectory=lib")
	})
	if err != nil {
		return launch{}, fmt.Errorf("DynamoDB Local: %w", err)
	}
	libraries := filepath.Join(dir, "lib")
	return launch{name: "DynamoDB Local", http: true, answered: answersHTTP, version: dynamoDBLocalVersion,
		command: func(port int, data string) process.Command {
			return process.Command{Path: java, Args: []string{
				"-Djava.io.tmpdir=" + data, // where SQLite leaves its library behind
				"-Djava.library.path=" + libraries, "-cp", filepath.Join(libraries, "*"),
				"org.eclipse.jetty.xml.XmlConfiguration", "port=" + strconv.Itoa(port), filepath.Join(dir, "server.xml"),
			}}
		}}, nil
}

// answersHTTP returns nil when the server answers an HTTP request, whatever it says.
func answersHTTP(ctx context.Context, addr string, _ int) error {
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
