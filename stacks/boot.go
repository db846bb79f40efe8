package stacks

import (
	"embed"
	"strings"
	"text/template"
	"time"

	"stateless-servers/app/config"
)

//go:embed boot
var bootFiles embed.FS

const (
	// healthyTimeout bounds the wait for the target group: download, start and two health checks take about a minute.
	healthyTimeout = 5 * time.Minute
	// signalTimeout is how long CloudFormation waits for a server: launch, boot, and healthyTimeout.
	signalTimeout = healthyTimeout + 3*time.Minute

	// What an instance learns about itself at boot stands in the environment file as a mark until then.
	instanceMark = "@INSTANCE_ID@"
	zoneMark     = "@ZONE@"
	keysMark     = "@SESSION_KEYS@"

	keyEnd = "A=" // of every key in the secret: see keyCharacters
)

// boot is what the first boot of a server needs to know. Strings may be CDK tokens.
type boot struct {
	Region, Stack, Group string // which CloudFormation resource hears of success or failure
	TargetGroup          string // ARN of the target group that decides
	Port                 int    // where it finds the server
	Bucket, Key          string // the binary in S3
	Server               Environment
}

// script renders the user data: boot/boot.sh with the unit boot/server.service and the environment file in it.
func (b boot) script() string {
	server := b.Server
	server.ServerName, server.Zone = instanceMark, zoneMark
	if server.KeysSecret != "" {
		server.SessionKeys = keysMark
	}
	values := struct {
		boot
		Name, Environment, InstanceMark, ZoneMark, KeysMark, KeyEnd, CertificatesFile, Metrics string
		HealthySeconds, StopSeconds                                                            int
	}{
		boot: b, Name: serverName, Environment: server.EnvironmentFile(),
		InstanceMark: instanceMark, ZoneMark: zoneMark, KeysMark: keysMark, KeyEnd: keyEnd,
		CertificatesFile: certificatesFile, Metrics: strings.Join(config.Metrics(), "|"),
		HealthySeconds: int(healthyTimeout.Seconds()),
		StopSeconds:    int((server.DrainTimeout + 10*time.Second).Seconds()),
	}
	return render("boot.sh", values)
}

// render fills in one of the files in the folder boot. Of a script it leaves out the first line, since UserData begins
// with one of its own.
func render(file string, values any) string {
	files := template.Must(template.New("boot").Option("missingkey=error").ParseFS(bootFiles, "boot/*"))
	var text strings.Builder
	if err := files.ExecuteTemplate(&text, file, values); err != nil {
		panic(err) // a mistake in a template that is part of the program
	}
	return strings.TrimPrefix(text.String(), "#!/bin/bash\n")
}
