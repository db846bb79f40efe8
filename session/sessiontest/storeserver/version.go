package storeserver

import (
	"os/exec"
	"regexp"
	"strings"
)

// Version returns the version that the server's program prints, such as "Redis server v=7.0.15". If an environment variable named
// the server, it returns only the name.
func (s *Server) Version() string {
	if s.launcher.version == nil {
		return s.Name
	}
	return s.launcher.version()
}

// versionOf returns a function that runs a program with a flag and returns the first line of its output, without the build details
// of Valkey and Redis.
func versionOf(program, flag string) func() string {
	return func() string {
		output, err := exec.Command(program, flag).Output()
		if err != nil {
			return program
		}
		line, _, _ := strings.Cut(string(output), "\n")
		line, _, _ = strings.Cut(line, " sha=")
		return strings.TrimSpace(line)
	}
}

var pomVersion = regexp.MustCompile(`<artifactId>DynamoDBLocal</artifactId>\s*<version>([^<]+)<`)

func dynamoDBLocalVersion() string {
	version := "DynamoDB Local"
	if found := pomVersion.FindSubmatch(pom); found != nil {
		version += " " + string(found[1])
	}
	return version
}
