package stacks

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/session/sessiontest/must"
)

// failsOnce is the body of a fake program that fails the first time that it is called with the same first two arguments.
const failsOnce = `key=$(echo "$(basename "$0")-$1-$2" | tr -c 'a-z0-9\n-' _)
[[ -e $(dirname "$0")/../$key ]] || { touch "$(dirname "$0")/../$key"; exit 1; }
`

// fakeAgent is the body of a fake dnf that installs a fake CloudWatch agent.
const fakeAgent = `root=$(dirname "$0")/..
echo 'echo "agent $*" >>'$root/journal >$root/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl
chmod +x $root/opt/aws/amazon-cloudwatch-agent/bin/*
`

const fakeMetadata = `case ${@: -1} in */api/token) echo t ;; */instance-id) echo i-0123456789abcdef0 ;;
*/availability-zone) echo eu-west-1a ;; */reservation-id) echo r-0123456789abcdef0 ;;
*/document) echo '  "pendingTime" : "2026-11-21T10:00:00Z",' ;; *) exit 22 ;; esac
`

// natScript returns the boot script of a NAT instance.
func natScript(t *testing.T) string {
	t.Helper()
	network, _ := synth(t, map[string]any{"egress": "nat-instance"})
	return scriptOf(t, dig(t, onlyResource(t, network, natInstance), "Properties", "UserData"))
}

// loaderScriptOf returns the boot script of a loader.
func loaderScriptOf(t *testing.T, keys map[string]any) string {
	t.Helper()
	load := synthAll(t, keys)["StatelessLoad"]
	return scriptOf(t, dig(t, onlyResource(t, load, "AWS::EC2::LaunchTemplate"), "Properties", "LaunchTemplateData", "UserData"))
}

// Each call of the network fails the first time: the metadata service, AWS's APIs, S3, and the packages.
func TestEveryNetworkStepIsRetried(t *testing.T) {
	_, lab := synth(t, variants["cookie"])
	tests := []struct {
		name, script string
		programs     map[string]string
		want         []string // in the journal
	}{
		{"server", userData(t, lab), map[string]string{
			"aws": failsOnce + `case $1 in s3) echo binary > "${@: -1}" ;; elbv2) echo healthy ;; secretsmanager) echo first ;; esac`,
			"dnf": failsOnce + fakeAgent, "systemctl": "",
		}, []string{"--status SUCCESS", "agent -a fetch-config"}},
		{"NAT", natScript(t), map[string]string{
			"aws": failsOnce, "dnf": failsOnce, "sysctl": "", "systemctl": "", "iptables": "", "iptables-save": "echo saved",
			"ip": "echo default via 10.0.0.1 dev ens5 proto dhcp",
		}, []string{"--status SUCCESS"}},
		{"loader", loaderScriptOf(t, map[string]any{"loaders": "1", "loadHistory": "true"}), map[string]string{
			"aws": failsOnce + `case "$1 $4" in cloudformation*) echo http://x ;; "s3 s3://"*) printf '#!/bin/sh\n` +
				`for last; do :; done\ntouch "$last" %s' "$(dirname "$0")/../var/tmp/history.jsonl" >"$5" ;; esac`, "shutdown": "",
		}, []string{".json\n", ".history.jsonl.gz\n", ".log\n"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.programs["curl"] = failsOnce + fakeMetadata
			root, code, output := runScript(t, test.script, test.programs)
			if code != 0 {
				t.Fatalf("exit code %d after each call failed once\n%s", code, output)
			}
			journal := readFile(t, root, "journal")
			for _, want := range test.want {
				if !strings.Contains(journal, want) {
					t.Errorf("the journal lacks %q:\n%s\n%s", want, journal, output)
				}
			}
		})
	}
}

// Retries end: a machine that stays without network fails.
func TestRetriesEnd(t *testing.T) {
	root, code, output := runScript(t, natScript(t), map[string]string{"aws": "", "dnf": "exit 1", "sysctl": "", "systemctl": "",
		"iptables": "", "iptables-save": "", "ip": ""})
	if code == 0 || !strings.Contains(output, "gave up on: dnf install") {
		t.Errorf("exit code %d, %s", code, output)
	}
	if count := strings.Count(readFile(t, root, "journal"), "dnf install"); count != 3 {
		t.Errorf("dnf ran %d times, want 3", count)
	}
}

// The kernel of a machine with half a GiB kills dnf. It gets swap first, and for that time only.
func TestLittleMemoryGetsSwapForPackages(t *testing.T) {
	_, lab := synth(t, nil)
	for name, script := range map[string]string{"NAT": natScript(t), "server": userData(t, lab)} {
		for memory, want := range map[string]bool{"430000": true, "950000": true, "1900000": false} {
			small := strings.Replace(script, "/proc/meminfo", "/proc/meminfo-"+memory, 1)
			root, code, output := runScript(t, small, map[string]string{
				"awk": `case $* in *meminfo-` + memory + `) echo ` + memory + ` ;; *) exec /usr/bin/awk "$@" ;; esac`,
				"dd":  `for argument; do [[ $argument != of=* ]] || touch "${argument#of=}"; done`, "mkswap": "", "swapon": "", "swapoff": "",
				"aws": `case $1 in s3) echo binary > "${@: -1}" ;; elbv2) echo healthy ;; esac`,
				"dnf": fakeAgent, "sysctl": "", "systemctl": "", "iptables": "", "iptables-save": "", "ip": "",
			})
			if code != 0 {
				t.Fatalf("%s: exit code %d\n%s", name, code, output)
			}
			order := regexp.MustCompile(`(?m)^(mkswap|swapon|dnf|swapoff)\b`).FindAllString(readFile(t, root, "journal"), -1)
			if got := strings.Join(order, " "); got != map[bool]string{true: "mkswap swapon dnf swapoff", false: "dnf"}[want] {
				t.Errorf("%s with %s kB: %s, want swap %v", name, memory, got, want)
			}
			if _, err := os.Stat(filepath.Join(root, "var/swapfile")); err == nil {
				t.Errorf("%s with %s kB: the swap file stays", name, memory)
			}
		}
	}
}

// logrotate copies the log and truncates it while the unit goes on writing. Nothing is repeated and no zeros are in front.
func TestLogSurvivesRotation(t *testing.T) {
	_, lab := synth(t, nil)
	unit := between(t, userData(t, lab), "<<'LOG'\n", "LOG\n")
	command := between(t, unit, "ExecStart=", "\n")
	mode, path, _ := strings.Cut(between(t, unit, "StandardOutput=", "\n"), ":")
	flags := map[string]int{"append": os.O_APPEND, "truncate": os.O_TRUNC, "file": 0}[mode] // systemd.exec(5)
	root := t.TempDir()
	file := filepath.Join(root, filepath.Base(path))
	// The journal has ten lines. journalctl shows three at a time, as if the others came later, after the cursor; then it fails.
	for name, text := range map[string]string{"sleep": "", "journalctl": `for argument; do case $argument in --cursor-file=*) cursor=` + root + `/cursor ;; esac; done
from=0; [[ ! -e $cursor ]] || from=$(<$cursor)
((from < 10)) || exit 1
for ((i = from + 1; i <= from + 3 && i <= 10; i++)); do echo "line $i"; done
echo $((i - 1)) >$cursor; [[ $((i - 1)) != 6 || -e ` + root + `/rotated ]] || { touch ` + root + `/rotated; exit 1; }`} {
		must.Succeed(t, os.WriteFile(filepath.Join(root, name), []byte("#!/bin/bash\n"+text+"\n"), 0o755))
	}
	quoted := strings.SplitN(command, "'", 3)
	if len(quoted) != 3 {
		t.Fatalf("the unit runs %s, want a loop in quotes", command)
	}
	output := must.Get(os.OpenFile(file, os.O_CREATE|os.O_WRONLY|flags, 0o644))(t)
	defer output.Close()
	run := func() {
		loop := exec.CommandContext(t.Context(), "/bin/sh", "-c", quoted[1])
		loop.Env, loop.Stdout = []string{"PATH=" + root + ":/usr/bin:/bin"}, output
		must.Succeed(t, loop.Run())
	}
	run()
	if text, err := os.ReadFile(file); err != nil || string(text) != "line 1\nline 2\nline 3\nline 4\nline 5\nline 6\n" {
		t.Fatalf("before rotation the log has %q, %v", text, err)
	}
	must.Succeed(t, os.Truncate(file, 0))
	run()
	if text, err := os.ReadFile(file); err != nil || string(text) != "line 7\nline 8\nline 9\nline 10\n" {
		t.Errorf("after rotation the log has %q, %v", text, err)
	}
}

// CloudFormation ends a server as soon as it has the signal FAILURE. The agent sends the output of the boot before.
func TestFailedBootLeavesItsLog(t *testing.T) {
	_, lab := synth(t, nil)
	root, code, output := runScript(t, userData(t, lab), map[string]string{
		"aws": "[[ $1 != s3 ]] || exit 1", "systemctl": "", "dnf": "/bin/sleep 0.3\n" + fakeAgent,
	})
	journal := readFile(t, root, "journal")
	agent, signal := strings.Index(journal, "agent -a"), strings.Index(journal, "--status FAILURE")
	if code == 0 || agent < 0 || signal < agent {
		t.Errorf("exit code %d, want the agent before the signal FAILURE:\n%s\n%s", code, journal, output)
	}
}

// The log of a failed first deployment must outlive its stack, with the key that it is encrypted with.
func TestBootLogOutlivesTheStack(t *testing.T) {
	for _, variant := range []string{"dynamodb", "valkey-production"} {
		_, lab := synth(t, variants[variant])
		retained := 0
		for id, r := range (*lab.ToJSON())["Resources"].(map[string]any) {
			if strings.HasPrefix(id, "FleetLog") {
				retained++
				if policy := r.(map[string]any)["DeletionPolicy"]; policy != "Retain" {
					t.Errorf("%s: %s has the deletion policy %v, want Retain", variant, id, policy)
				}
			}
		}
		if want := map[string]int{"dynamodb": 1, "valkey-production": 2}[variant]; retained != want {
			t.Errorf("%s: %d log groups and keys, want %d", variant, retained, want)
		}
	}
}

// A server whose agent fails sends nothing, so the alarm on it must take missing data for a failure.
func TestSilentServersRaiseAnAlarm(t *testing.T) {
	_, lab := synth(t, nil)
	expectProperties(t, lab, "AWS::CloudWatch::Alarm", map[string]any{
		"AlarmDescription": assertions.Match_StringLikeRegexp(jsii.String("agent is missing or broken")),
		"TreatMissingData": "breaching", "EvaluationPeriods": 3,
		"Metrics": assertions.Match_ArrayWith(&[]any{
			assertions.Match_ObjectLike(&map[string]any{"Expression": "healthy - FILL(reports, 0) / 5"}),
			assertions.Match_ObjectLike(&map[string]any{"Id": "reports", "MetricStat": map[string]any{"Stat": "SampleCount", "Period": 300}}),
		})})
	breaching := 0
	for _, alarm := range *lab.FindResources(jsii.String("AWS::CloudWatch::Alarm"), nil) {
		if dig(t, *alarm, "Properties", "TreatMissingData") == "breaching" {
			breaching++
		}
	}
	if breaching != 1 {
		t.Errorf("%d alarms take missing data for a failure, want 1", breaching)
	}
}

// The memory of a loader is too small for the history of a long test: it goes to a disk that has room for it.
func TestHistoryFitsOnTheDisk(t *testing.T) {
	size := func(keys map[string]any) float64 {
		load := synthAll(t, keys)["StatelessLoad"]
		return dig(t, onlyResource(t, load, "AWS::EC2::LaunchTemplate"), "Properties", "LaunchTemplateData", "BlockDeviceMappings", 0,
			"Ebs", "VolumeSize").(float64)
	}
	if got := size(map[string]any{"loaders": "1", "loadRate": "5000", "loadDuration": "4h"}); got != 8 {
		t.Errorf("without a history the disk has %v GiB, want 8", got)
	}
	keys := map[string]any{"loaders": "1", "loadRate": "100,500..2000.5", "loadDuration": "4h", "loadHistory": "true"}
	want := 8 + 2000.5*4*3600*historyBytes*1.5/(1<<30)
	if got := size(keys); got < want || got > want+1 {
		t.Errorf("the disk has %v GiB, want %.1f and less than one more", got, want)
	}
	if script := loaderScriptOf(t, keys); !strings.Contains(script, "--history /var/tmp/history.jsonl") || strings.Contains(script, "/run/history") {
		t.Errorf("the history is not written to the disk:\n%s", script)
	}
}
