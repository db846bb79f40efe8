package stacks

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
)

func TestLoad(t *testing.T) {
	load := synthAll(t, map[string]any{"loaders": "7", "loaderInstanceType": "c7g.xlarge"})["StatelessLoad"]
	expectProperties(t, load, "AWS::EC2::LaunchTemplate", map[string]any{"LaunchTemplateData": map[string]any{
		"InstanceType": "c7g.xlarge", "InstanceInitiatedShutdownBehavior": "terminate",
		"MetadataOptions": map[string]any{"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
		"KeyName":         assertions.Match_Absent()}})
	expectProperties(t, load, "AWS::S3::Bucket", map[string]any{
		"BucketEncryption": map[string]any{"ServerSideEncryptionConfiguration": []any{map[string]any{
			"ServerSideEncryptionByDefault": map[string]any{"SSEAlgorithm": "AES256"}}}},
		"PublicAccessBlockConfiguration": map[string]any{"BlockPublicAcls": true, "BlockPublicPolicy": true,
			"IgnorePublicAcls": true, "RestrictPublicBuckets": true},
		"LifecycleConfiguration": map[string]any{"Rules": []any{map[string]any{"ExpirationInDays": 90}}}})
	for id, group := range *load.FindResources(jsii.String("AWS::EC2::SecurityGroup"), nil) {
		if inbound, has := dig(t, *group, "Properties").(map[string]any)["SecurityGroupIngress"]; has {
			t.Errorf("%s allows incoming %v", id, inbound)
		}
	}
	// These would relaunch terminated loaders, or cost money without a test.
	for _, kind := range []string{scalingGroup, natInstance, "AWS::EC2::EC2Fleet"} {
		expect(t, func() { load.ResourceCountIs(jsii.String(kind), jsii.Number(0)) })
	}
	start, err := json.Marshal(dig(t, *(*load.FindOutputs(jsii.String("Start"), nil))["Start"], "Value"))
	if err != nil || !strings.Contains(string(start), "--count 7 ") {
		t.Errorf("%s, %v", start, err)
	}
	got := permissions(t, onlyResource(t, load, "AWS::IAM::Policy"))
	slices.Sort(got)
	want := []string{
		`"*": ssm:UpdateInstanceInformation, ssmmessages:CreateControlChannel, ssmmessages:CreateDataChannel, ` +
			`ssmmessages:OpenControlChannel, ssmmessages:OpenDataChannel`,
		`the binary: s3:GetObject`,
		`{"Fn::Join":["",["arn:",{"Ref":"AWS::Partition"},":cloudformation:",{"Ref":"AWS::Region"},":",` +
			`{"Ref":"AWS::AccountId"},":stack/StatelessLab/*"]]}: cloudformation:DescribeStacks`,
		`{"Fn::Join":["",[{"Fn::GetAtt":["ResultsBucketA95A2103","Arn"]},"/*"]]}: s3:PutObject`,
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Adding loaders must not change a deployed application.
func TestLoadersDoNotChangeTheLab(t *testing.T) {
	text := func(keys map[string]any) (texts []string) {
		network, lab := synth(t, keys)
		for _, template := range []assertions.Template{network, lab} {
			text := must.Get(json.Marshal(template.ToJSON()))(t)
			texts = append(texts, string(text))
		}
		return texts
	}
	if !slices.Equal(text(nil), text(map[string]any{"loaders": "1"})) {
		t.Error("the network or the lab changes when loaders are added")
	}
}

// loaderUserData returns the user data of a loader.
func loaderUserData(t *testing.T, load assertions.Template) string {
	t.Helper()
	return scriptOf(t, dig(t, onlyResource(t, load, "AWS::EC2::LaunchTemplate"), "Properties", "LaunchTemplateData", "UserData"))
}

// TestLoaderRuns runs the user data of a loader with the real lab, the real server and a fake AWS command line. TestScripts checks
// the user data in short runs.
func TestLoaderRuns(t *testing.T) {
	sessiontest.Long(t)
	folder := t.TempDir()
	for _, program := range []string{"lab", "app"} {
		build := exec.Command("go", "build", "-o", folder, "stateless-servers/"+program)
		if output, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
	}
	url := runServer(t, filepath.Join(folder, "app"))
	load := synthAll(t, map[string]any{"loaders": "1", "loadRate": "40,50..60", "loadDuration": "10s", "loadSessions": "5",
		"loadMix": "read=60,write=40", "loadHistory": "true"})["StatelessLoad"]
	script := loaderUserData(t, load)
	checkScripts(t, map[string]string{"load": script})
	script = strings.Replace(script, "--json", "--warmup 0s --json", 1)
	tests := []struct {
		name, broken string
		code         int
		uploaded     []string // suffixes of the files in S3
	}{
		{"a run", "", 0, []string{".history.jsonl.gz", ".json", ".log"}},
		{"nothing deployed", "cloudformation", 1, []string{".log"}},
		{"no program", "s3 cp --only-show-errors s3://sample", 1, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bucket := t.TempDir()
			root, code, output := runScript(t, script, map[string]string{
				"aws": "broken='" + test.broken + "'\n" + `[[ -z $broken || "$*" != "$broken"* ]] || exit 1` + "\n" +
					`case "$1 $4" in cloudformation*) echo ` + url + ` ;; "s3 s3://"*) cp ` + filepath.Join(folder, "lab") + ` "$5" ;;` + "\n" +
					`s3*) cp "$4" "` + bucket + `/$(basename "$5")" ;; esac`,
				"shutdown": "",
			})
			if code != test.code {
				t.Fatalf("exit code %d, want %d\n%s", code, test.code, output)
			}
			journal := readFile(t, root, "journal")
			if !strings.HasPrefix(journal, "shutdown -P +17 ") || !strings.HasSuffix(journal, "shutdown -P now\n") {
				t.Errorf("want a scheduled shutdown first and a shutdown last:\n%s", journal)
			}
			uploads := regexp.MustCompile(`(?m)s3://sample/r-0123456789abcdef0/i-0123456789abcdef0(\S+)$`).FindAllStringSubmatch(journal, -1)
			var uploaded []string
			for _, upload := range uploads {
				uploaded = append(uploaded, upload[1])
			}
			slices.Sort(uploaded)
			if test.broken == "" && !slices.Equal(uploaded, test.uploaded) || test.broken != "" && slices.Contains(uploaded, ".json") {
				t.Errorf("uploaded %q, want %q\n%s", uploaded, test.uploaded, output)
			}
			if test.code != 0 {
				return
			}
			text := must.Get(os.ReadFile(filepath.Join(bucket, "i-0123456789abcdef0.json")))(t)
			var result struct {
				Requests int64 `json:"requests"`
				OK       int64 `json:"ok"`
			}
			if err := json.Unmarshal(text, &result); err != nil || result.Requests == 0 || result.OK != result.Requests {
				t.Errorf("result %+v, %v, want requests, all OK", result, err)
			}
			file := must.Get(os.Open(filepath.Join(bucket, "i-0123456789abcdef0.history.jsonl.gz")))(t)
			defer file.Close()
			history := must.Get(gzip.NewReader(file))(t)
			if size, err := io.Copy(io.Discard, history); err != nil || size > historyBytes*result.Requests {
				t.Errorf("the history has %d bytes for %d requests, %v, want at most %d each: see historyGiB", size, result.Requests, err, historyBytes)
			}
		})
	}
}

// runServer starts the server on a free port, with its sessions in memory, and returns its address.
func runServer(t *testing.T, program string) (url string) {
	t.Helper()
	server := exec.CommandContext(t.Context(), program)
	server.Env = []string{"ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "SERVER_NAME=server-1", "PLAIN_HTTP=true"}
	output, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	must.Succeed(t, err)
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	var line struct{ Msg, Addr string }
	for lines := json.NewDecoder(output); line.Msg != "serving"; {
		if err := lines.Decode(&line); err != nil {
			t.Fatalf("no line with msg serving in the output of the server: %v", err)
		}
	}
	go io.Copy(io.Discard, output)
	must.Get(http.Get("http://" + line.Addr + "/healthz"))(t)
	return "http://" + line.Addr
}
