package stacks

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
	"stateless-servers/session/sessiontest/must"
)

// TestAgentConfiguration checks the CloudWatch agent's configuration, which the boot script writes.
func TestAgentConfiguration(t *testing.T) {
	_, lab := synth(t, nil)
	script := userData(t, lab)
	var agent struct {
		Agent struct{ Region, Run_as_user string }
		Logs  struct {
			Logs_collected struct {
				Files struct {
					Collect_list []struct{ File_path, Log_group_name, Log_stream_name string }
				}
			}
			Metrics_collected struct {
				Prometheus struct {
					Prometheus_config_path, Log_group_name string
					Emf_processor                          struct {
						Metric_namespace   string
						Metric_declaration []struct {
							Source_labels, Metric_selectors []string
							Label_matcher                   string
							Dimensions                      [][]string
						}
					}
				}
			}
		}
	}
	decoder := json.NewDecoder(strings.NewReader(between(t, script, "<<'AGENT'\n", "AGENT\n")))
	decoder.DisallowUnknownFields()
	must.Succeed(t, decoder.Decode(&agent))
	scrape := between(t, script, "<<'PROMETHEUS'\n", "PROMETHEUS\n")
	for _, want := range []string{`job_name: ` + instancePlaceholder + `/metrics`, `targets: ["` + config.Default().AdminAddr + `"]`,
		`labels: { service: ` + serverName + ` }`} {
		if !strings.Contains(scrape, want) {
			t.Errorf("the scrape configuration lacks %s:\n%s", want, scrape)
		}
	}
	logs := agent.Logs
	var files []string
	for _, file := range logs.Logs_collected.Files.Collect_list {
		files = append(files, file.File_path+" "+file.Log_stream_name+" "+file.Log_group_name)
	}
	want := []string{"/var/log/stateless-server.log {instance_id}/server sample",
		"/var/log/cloud-init-output.log {instance_id}/boot sample"}
	if fmt.Sprint(files) != fmt.Sprint(want) {
		t.Errorf("log files %q, want %q", files, want)
	}
	if !strings.Contains(script, "append:/var/log/stateless-server.log") {
		t.Error("no unit writes the log file that the agent reads")
	}
	metrics := logs.Metrics_collected.Prometheus
	declaration := metrics.Emf_processor.Metric_declaration[0]
	if agent.Agent.Run_as_user != "cwagent" || agent.Agent.Region != "eu-west-1" || metrics.Log_group_name != "sample" ||
		metrics.Emf_processor.Metric_namespace != "StatelessLab" || metrics.Prometheus_config_path != "/etc/stateless-server/prometheus.yaml" ||
		fmt.Sprint(declaration.Dimensions, declaration.Source_labels) != "[[service]] [service]" ||
		!regexp.MustCompile(declaration.Label_matcher).MatchString(serverName) {
		t.Errorf("%+v", agent)
	}
	kept := regexp.MustCompile("^(?:" + between(t, scrape, `regex: "`, `"`) + ")$") // Prometheus anchors it
	selected := regexp.MustCompile(declaration.Metric_selectors[0])
	for _, name := range config.Metrics() {
		if !kept.MatchString(name) || !selected.MatchString(name) {
			t.Errorf("%s isn't collected, want all of config.Metrics", name)
		}
	}
	if name := "http_requests_total"; kept.MatchString(name) || selected.MatchString(name) {
		t.Errorf("%s is collected, want only config.Metrics: each costs 0.30 USD per month", name)
	}
}

func TestServerLog(t *testing.T) {
	const group = "AWS::Logs::LogGroup"
	_, lab := synth(t, nil)
	expectProperties(t, lab, group, map[string]any{"RetentionInDays": 30, "KmsKeyId": assertions.Match_Absent()})
	_, lab = synth(t, variants["valkey-production"])
	expectProperties(t, lab, group, map[string]any{"RetentionInDays": 365, "KmsKeyId": assertions.Match_AnyValue()})
	expectProperties(t, lab, "AWS::KMS::Key", map[string]any{"EnableKeyRotation": true, "KeyPolicy": map[string]any{
		"Statement": assertions.Match_ArrayWith(&[]any{assertions.Match_ObjectLike(&map[string]any{
			"Principal": map[string]any{"Service": map[string]any{"Fn::Join": []any{"", []any{
				"logs.", map[string]any{"Ref": "AWS::Region"}, ".amazonaws.com"}}}},
			"Condition": map[string]any{"ArnLike": map[string]any{
				"kms:EncryptionContext:aws:logs:arn": assertions.Match_AnyValue()}},
		})})}})
	expect(t, func() {
		lab.HasResourceProperties(jsii.String("AWS::CloudWatch::Alarm"), map[string]any{
			"Metrics": []any{map[string]any{"MetricStat": map[string]any{"Metric": map[string]any{
				"Namespace": "production-Lab", "MetricName": config.MetricUnavailable,
				"Dimensions": []any{map[string]any{"Name": "service", "Value": serverName}}}}}}})
	})
}
