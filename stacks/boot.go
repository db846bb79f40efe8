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
	// healthyTimeout bounds how long a booting server waits until the target group reports it healthy. Download, start and
	// two health checks take about a minute.
	healthyTimeout = 5 * time.Minute
	// signalTimeout bounds how long CloudFormation waits for the signal of a new server: launch, boot and healthyTimeout.
	signalTimeout = healthyTimeout + 3*time.Minute

	// The boot script replaces these placeholders in the environment file by values that only the instance knows.
	instancePlaceholder = "@INSTANCE_ID@"
	zonePlaceholder     = "@ZONE@"
	keysPlaceholder     = "@SESSION_KEYS@"

	// keySuffix completes each key of the secret to 32 bytes in base64: see secretKeyLength.
	keySuffix = "A="
)

// bootParameters are the values that the boot script of a server is rendered with. Strings may be CDK tokens.
type bootParameters struct {
	Region, Stack, Group string // the CloudFormation resource that the script signals
	TargetGroup          string // the ARN of the target group that reports whether the server is healthy
	Port                 int    // the port of the server in the target group
	Bucket, Key          string // the location of the binary in S3
	Server               Environment
}

// script renders the user data of the instances: boot/boot.sh with the systemd unit and the environment file in it.
func (b bootParameters) script() string {
	server := b.Server
	server.ServerName, server.Zone = instancePlaceholder, zonePlaceholder
	if server.KeysSecretARN != "" {
		server.SessionKeys = keysPlaceholder
	}
	values := struct {
		bootParameters
		Name, Environment, InstancePlaceholder, ZonePlaceholder, KeysPlaceholder, KeySuffix, CertificatesFile, Metrics string
		HealthySeconds, StopSeconds                                                                                    int
	}{
		bootParameters: b, Name: serverName, Environment: server.EnvironmentFile(),
		InstancePlaceholder: instancePlaceholder, ZonePlaceholder: zonePlaceholder, KeysPlaceholder: keysPlaceholder, KeySuffix: keySuffix,
		CertificatesFile: certificatesFile, Metrics: strings.Join(config.Metrics(), "|"),
		HealthySeconds: int(healthyTimeout.Seconds()),
		StopSeconds:    int((server.DrainTimeout + 10*time.Second).Seconds()),
	}
	return render("boot.sh", values)
}

// render executes one of the templates in the folder boot. It omits the first line of a script, because UserData adds one.
func render(file string, values any) string {
	files := template.Must(template.New("boot").Option("missingkey=error").ParseFS(bootFiles, "boot/*"))
	var text strings.Builder
	if err := files.ExecuteTemplate(&text, file, values); err != nil {
		panic(err) // the templates are part of the program
	}
	return strings.TrimPrefix(text.String(), "#!/bin/bash\n")
}
