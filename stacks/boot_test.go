package stacks

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"

	"stateless-servers/app/config"
	"stateless-servers/session/sessiontest/must"
)

// userData returns the boot script of the servers' launch template.
func userData(t *testing.T, lab assertions.Template) string {
	t.Helper()
	return scriptOf(t, dig(t, onlyResource(t, lab, "AWS::EC2::LaunchTemplate"), "Properties", "LaunchTemplateData", "UserData"))
}

// scriptOf returns the script in a template's user data, with sample values in the place of CloudFormation's functions.
func scriptOf(t *testing.T, userData any) string {
	t.Helper()
	var script strings.Builder
	for _, part := range dig(t, userData, "Fn::Base64", "Fn::Join", 1).([]any) {
		switch part := part.(type) {
		case string:
			script.WriteString(part)
		case map[string]any:
			if part["Ref"] == "AWS::Region" {
				script.WriteString("eu-west-1")
			} else if part["Fn::FindInMap"] != nil {
				script.WriteString("certificate\n")
			} else if attribute, _ := part["Fn::GetAtt"].([]any); len(attribute) == 2 && attribute[1] == "Endpoint.Port" {
				script.WriteString("11211")
			} else if len(attribute) == 2 && attribute[1] == "ClusterDiscoveryEndpointURL" {
				script.WriteString("daxs://sample:9111")
			} else if len(attribute) == 2 && attribute[1] == "ProviderURL" {
				script.WriteString("https://sample")
			} else {
				script.WriteString("sample")
			}
		}
	}
	return script.String()
}

// between returns the text between two markers.
func between(t *testing.T, text, start, end string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, start)
	inner, _, ends := strings.Cut(rest, end)
	if !found || !ends {
		t.Fatalf("no %q … %q in:\n%s", start, end, text)
	}
	return inner
}

// environmentFile returns the environment file that the boot script writes.
func environmentFile(t *testing.T, lab assertions.Template) string {
	t.Helper()
	return between(t, userData(t, lab), "<<'ENVIRONMENT'\n", "ENVIRONMENT\n")
}

// systemdUnit returns the systemd unit that the boot script writes.
func systemdUnit(t *testing.T, lab assertions.Template) string {
	t.Helper()
	return between(t, userData(t, lab), "<<'UNIT'\n", "UNIT\n")
}

// parseEnvironment parses an environment file as systemd and the server do.
func parseEnvironment(t *testing.T, file string) config.Config {
	t.Helper()
	var variables []string
	for line := range strings.Lines(file) {
		key, quoted, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		value, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		variables = append(variables, key+"="+value)
	}
	c, err := config.Parse(variables)
	if err != nil {
		t.Fatalf("the server would refuse its environment:\n%v\n%s", err, file)
	}
	return c
}

func TestScripts(t *testing.T) {
	scripts := map[string]string{}
	for name, keys := range variants {
		_, lab := synth(t, keys)
		scripts[name] = userData(t, lab)
	}
	scripts["loader"] = loaderUserData(t, synthAll(t, variants["loaders"])["StatelessLoad"])
	checkScripts(t, scripts)
}

// checkScripts checks that bash and shellcheck accept the scripts, and that they are not too long for EC2.
func checkScripts(t *testing.T, scripts map[string]string) {
	t.Helper()
	folder := t.TempDir()
	var files []string
	for name, script := range scripts {
		file := filepath.Join(folder, name+".sh")
		files = append(files, file)
		must.Succeed(t, os.WriteFile(file, []byte(script), 0o644))
		if output, err := exec.Command("bash", "-n", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, output)
		}
		if size := len(script); size > 16<<10 {
			t.Errorf("%s: %d bytes of user data, want at most 16 KiB, the limit of EC2", name, size)
		}
	}
	shellcheck := requireProgram(t, "shellcheck", "https://github.com/koalaman/shellcheck#installing")
	if output, err := exec.Command(shellcheck, files...).CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, output)
	}
}

// runScript runs a script in a temporary folder that replaces the root of an instance, and returns the folder, the exit code
// and the output. The programs are shell scripts that take precedence over the system's. Each appends its name and arguments
// to the file journal in the folder. A fake curl serves the metadata of an instance.
func runScript(t *testing.T, script string, programs map[string]string) (root string, code int, output string) {
	t.Helper()
	root = t.TempDir()
	for _, folder := range []string{"bin", "run", "var/log", "etc/systemd/system", "etc/sysctl.d", "etc/sysconfig",
		"etc/logrotate.d", "usr/local/bin", "var/tmp", "proc", "opt/aws/amazon-cloudwatch-agent/bin"} {
		must.Succeed(t, os.MkdirAll(filepath.Join(root, folder), 0o755))
	}
	all := map[string]string{
		"curl": "case ${@: -1} in */api/token) echo t ;; */instance-id) echo i-0123456789abcdef0 ;;\n" +
			"*/availability-zone) echo eu-west-1a ;; */reservation-id) echo r-0123456789abcdef0 ;;\n" +
			"*/document) echo '  \"pendingTime\" : \"2026-11-21T10:00:00Z\",' ;; *) exit 22 ;; esac",
		"sleep": "",
	}
	for name, text := range programs {
		all[name] = "echo \"" + name + " $*\" >>" + filepath.Join(root, "journal") + "\n" + text
	}
	for name, text := range all {
		must.Succeed(t, os.WriteFile(filepath.Join(root, "bin", name), []byte("#!/bin/bash\n"+text+"\n"), 0o755))
	}
	for path, text := range map[string]string{"var/log/cloud-init-output.log": "", "proc/meminfo": "MemTotal:        1900000 kB\n"} {
		must.Succeed(t, os.WriteFile(filepath.Join(root, path), []byte(text), 0o640))
	}
	here := regexp.MustCompile(`(?m)(^|[ ">])/(run|etc|usr|var|opt|proc)/`).ReplaceAllString(script, "${1}"+root+"/${2}/")
	boot := exec.CommandContext(t.Context(), "bash", "-c", here)
	boot.Env = []string{"PATH=" + filepath.Join(root, "bin") + ":/usr/bin:/bin"}
	text, _ := boot.CombinedOutput()
	return root, boot.ProcessState.ExitCode(), string(text)
}

// readFile reads a file in the root folder of runScript.
func readFile(t *testing.T, root, path string) string {
	t.Helper()
	text := must.Get(os.ReadFile(filepath.Join(root, path)))(t)
	return string(text)
}

// expectSignal checks that the script sent CloudFormation a signal with the status, and no other, although it may repeat it.
func expectSignal(t *testing.T, journal, status string) {
	t.Helper()
	signals := regexp.MustCompile(`signal-resource .* --unique-id i-0123456789abcdef0 --status (\w+)\n`).
		FindAllStringSubmatch(journal, -1)
	for _, signal := range signals {
		if signal[1] != status {
			t.Errorf("signal %s, want only %s\n%s", signal[1], status, journal)
		}
	}
	if len(signals) == 0 {
		t.Errorf("no signal, want %s\n%s", status, journal)
	}
}

func TestUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd is not installed: ", err)
	}
	_, lab := synth(t, nil)
	script := userData(t, lab)
	for name, text := range map[string]string{
		serverName:          strings.Replace(systemdUnit(t, lab), "/usr/local/bin/"+serverName, "/bin/true", 1), // it must exist
		serverName + "-log": between(t, script, "<<'LOG'\n", "LOG\n"),
	} {
		file := filepath.Join(t.TempDir(), name+".service")
		must.Succeed(t, os.WriteFile(file, []byte(text), 0o644))
		if output, err := exec.Command(analyze, "verify", file).CombinedOutput(); err != nil || len(output) != 0 {
			t.Errorf("verify: %v\n%s", err, output)
		}
		if name != serverName {
			continue
		}
		// The exposure level is from 0 (nothing) to 100 (everything).
		security := exec.Command(analyze, "security", "--offline=true", "--threshold=15", "--no-pager", file)
		if output, err := security.CombinedOutput(); err != nil {
			t.Errorf("security: %v\n%s", err, output)
		}
	}
}

func TestServerTimeoutsExceedTheLoadBalancers(t *testing.T) {
	seconds := func(text string) time.Duration {
		n := must.Get(strconv.Atoi(text))(t)
		return time.Duration(n) * time.Second
	}
	_, lab := synth(t, nil)
	server := parseEnvironment(t, withInstanceValues(environmentFile(t, lab)))
	idle := seconds(attribute(t, onlyResource(t, lab, loadBalancer), "LoadBalancerAttributes", "idle_timeout.timeout_seconds"))
	if server.KeepAlive <= idle {
		t.Errorf("the server keeps idle connections for %v, want longer than the load balancer's %v", server.KeepAlive, idle)
	}
	targets := onlyResource(t, lab, targetGroup)
	delay := seconds(attribute(t, targets, "TargetGroupAttributes", "deregistration_delay.timeout_seconds"))
	if delay >= server.DrainTimeout {
		t.Errorf("a server drains for %v, want longer than the deregistration delay of %v", server.DrainTimeout, delay)
	}
	stop := seconds(between(t, systemdUnit(t, lab), "TimeoutStopSec=", "\n"))
	if stop <= server.DrainTimeout {
		t.Errorf("systemd kills a server after %v, want longer than its drain timeout of %v", stop, server.DrainTimeout)
	}
}

// withInstanceValues replaces the placeholders of an environment file by sample values.
func withInstanceValues(file string) string {
	return strings.NewReplacer(instancePlaceholder, "i-0123456789abcdef0", zonePlaceholder, "eu-west-1a", keysPlaceholder, "key").Replace(file)
}

func TestServerEnvironment(t *testing.T) {
	want := config.Default()
	want.ServerName, want.Zone, want.Region, want.PlainHTTP = "i-0123456789abcdef0", "eu-west-1a", "eu-west-1", true
	dynamodb, valkey := want, want
	dynamodb.Store, dynamodb.DynamoDBTable = config.StoreDynamoDB, "sample"
	valkey.Store, valkey.ValkeyAddress, valkey.ValkeyTLS = config.StoreValkey, "sample:6379", true
	valkey.ValkeyUser, valkey.ValkeyCacheName = "statelesslab-valkey", "sample"
	redis := valkey
	redis.ValkeyUser = "statelesslab-redis"
	memcached, serverless, postgres, cookie, token, memory := want, want, want, want, want, want
	memcached.Store, memcached.MemcachedTLS = config.StoreMemcached, true
	memcached.MemcachedAddresses = []string{"sample.0001.sample:11211", "sample.0002.sample:11211"}
	serverless.Store, serverless.MemcachedTLS = config.StoreMemcached, true
	serverless.MemcachedAddresses = []string{"sample:11211"}
	postgres.Store, postgres.PostgresIAM = config.StorePostgres, true
	postgres.PostgresURL = "postgres://stateless@sample:5432/sessions?sslmode=verify-full&sslrootcert=" + certificatesFile
	cookie.Store, cookie.SessionKeys = config.StoreCookie, "key"
	token.Store, token.SessionKeys = config.StoreToken, "key"
	inTable, inCache := token, token
	inTable.TokenRevocation, inTable.DynamoDBTable = config.StoreDynamoDB, "sample"
	inCache.TokenRevocation, inCache.ValkeyAddress, inCache.ValkeyTLS = config.StoreValkey, "sample:6379", true
	inCache.ValkeyUser, inCache.ValkeyCacheName = "statelesslab-revocationcache", "sample"
	memory.Store, memory.Sticky = config.StoreMemory, true
	login := dynamodb
	login.PlainHTTP, login.SessionKeys = false, "key"
	login.OIDCIssuer, login.OIDCClientID = "https://sample", "sample"
	login.OIDCRedirectURL = "https://lab.example.com/login/callback"
	loginByToken := login
	loginByToken.Store, loginByToken.DynamoDBTable = config.StoreToken, ""
	loginByToken.OIDCRedirectURL = "https://sample/login/callback"
	for variant, want := range map[string]config.Config{"dynamodb": dynamodb, "valkey": valkey, "redis": redis,
		"memcached": memcached, "memcached-serverless": serverless, "postgres": postgres, "cookie": cookie, "token": token,
		"token-dynamodb": inTable, "token-valkey": inCache,
		"memory": memory, "cognito": login, "cognito-production": loginByToken} {
		_, lab := synth(t, variants[variant])
		if got := parseEnvironment(t, withInstanceValues(environmentFile(t, lab))); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got  %+v\nwant %+v", variant, got, want)
		}
	}
}

// TestBoot runs the user data in a temporary folder, with fake commands for AWS and systemd.
func TestBoot(t *testing.T) {
	tests := []struct {
		name    string
		variant string
		broken  string // a command that fails
		signal  string
		code    int
	}{
		{"healthy", "dynamodb", "", "SUCCESS", 0},
		{"keys", "cookie", "", "SUCCESS", 0},
		{"keys of logins", "cognito", "", "SUCCESS", 0},
		{"authorities", "postgres", "", "SUCCESS", 0},
		{"no binary", "dynamodb", "s3", "FAILURE", 1},
		{"no keys", "cookie", "secretsmanager", "FAILURE", 1},
		{"never healthy", "dynamodb", "elbv2", "FAILURE", 1},
		{"no CloudWatch agent", "dynamodb", "dnf", "SUCCESS", 0},
		{"a signal that CloudFormation refuses", "dynamodb", "cloudformation", "SUCCESS", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, lab := synth(t, variants[test.variant])
			script := strings.ReplaceAll(userData(t, lab), "SECONDS + 300", "SECONDS")
			root, code, output := runScript(t, script, map[string]string{
				"aws": "[[ $1 != '" + test.broken + "' ]] || exit 1\n" +
					"case $1 in s3) echo binary > \"${@: -1}\" ;; elbv2) echo healthy ;; secretsmanager) echo first,second ;; esac",
				"systemctl": "",
				"dnf": "[[ dnf != '" + test.broken + "' ]] || exit 1\nroot=$(dirname \"$0\")/..\n" +
					"echo 'echo \"agent $*\" >>'$root/journal >$root/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl\n" +
					"chmod +x $root/opt/aws/amazon-cloudwatch-agent/bin/*",
			})
			if code != test.code {
				t.Fatalf("exit code %d, want %d\n%s", code, test.code, output)
			}
			journal := readFile(t, root, "journal")
			expectSignal(t, journal, test.signal)
			if test.code != 0 {
				return
			}
			if !strings.Contains(journal, "systemctl enable --now "+serverName+".service\n") {
				t.Errorf("the server is not started:\n%s", journal)
			}
			if started := strings.Contains(journal, "agent -a fetch-config -m ec2 -s -c file:/etc/"+serverName+"/agent.json\n"); started ==
				(test.broken == "dnf") || started == strings.Contains(output, "no CloudWatch agent") {
				t.Errorf("agent started: %v, want %v\n%s\n%s", started, !started, journal, output)
			}
			file := readFile(t, root, "etc/"+serverName+"/environment")
			keys := "first" + keySuffix + ",second" + keySuffix
			if want := strings.ReplaceAll(withInstanceValues(environmentFile(t, lab)), `"key"`, `"`+keys+`"`); file != want {
				t.Errorf("the environment file:\n%s\nwant:\n%s", file, want)
			}
			authorities, err := os.ReadFile(filepath.Join(root, certificatesFile))
			if test.variant == "postgres" && string(authorities) != "certificate\n" || test.variant != "postgres" && err == nil {
				t.Errorf("certificate authorities %q, %v", authorities, err)
			}
			info, err := os.Stat(filepath.Join(root, "usr/local/bin", serverName))
			if err != nil || info.Mode().Perm() != 0o755 {
				t.Errorf("the binary has %v, %v, want mode 0755", info, err)
			}
		})
	}
}
