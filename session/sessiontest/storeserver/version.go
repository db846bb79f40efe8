package storeserver

import (
	"os/exec"
	"regexp"
	"strings"
)

// Version is what the server's program says of its version, such as "Redis server v=7.0.15"; only the server's name where
// it was not started here.
func (s *Server) Version() string {
	if s.launch.version == nil {
		return s.Name
	}
	return s.launch.version()
}

// says asks a program for its version: the first line, without what Valkey and Redis add of their build.
func says(program, flag string) func() string {
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
