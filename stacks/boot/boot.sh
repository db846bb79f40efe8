#!/bin/bash
# First boot of a server: downloads the binary, writes its configuration, starts it, and signals CloudFormation.
# Needs only Amazon Linux 2023, and nothing from the internet. This is a Go template, which stacks/boot.go renders.
set -euo pipefail

{{template "common.sh" .}}
# CloudFormation refuses the signal outside deployments, from a server that auto scaling launched. That is no error. A server
# that failed lets the agent send the output of the boot first, because the signal makes CloudFormation end the server.
signal() {
  local status=SUCCESS
  if (($1 != 0)); then
    status=FAILURE
    if [[ -n ${observer-} ]] && wait "$observer"; then sleep 15; fi # the agent sends every 5 s
  fi
  attempt 3 60 aws cloudformation signal-resource --stack-name '{{.Stack}}' --logical-resource-id '{{.Group}}' \
    --unique-id "$instance_id" --status "$status" || echo "boot: signal $status not taken" >&2
}
trap 'signal $?' EXIT

{{template "packages.sh" .}}
{{template "observe.sh" .}}
try aws s3 cp --only-show-errors 's3://{{.Bucket}}/{{.Key}}' /run/{{.Name}}
install -m 0755 /run/{{.Name}} /usr/local/bin/{{.Name}}
rm /run/{{.Name}}

environment=$(cat <<'ENVIRONMENT'
{{.Environment}}ENVIRONMENT
)
zone=$(metadata meta-data/placement/availability-zone)
environment=${environment/{{.InstancePlaceholder}}/"$instance_id"}
environment=${environment/{{.ZonePlaceholder}}/"$zone"}
{{- with .Server.KeysSecretARN}}
keys=$(try aws secretsmanager get-secret-value --secret-id '{{.}}' --query SecretString --output text)
keys=${keys//,/{{$.KeySuffix}},}{{$.KeySuffix}} # completes each key to 32 bytes
environment=${environment/{{$.KeysPlaceholder}}/"$keys"}
{{- end}}
install -d -m 0755 /etc/{{.Name}}
install -m 0600 /dev/stdin /etc/{{.Name}}/environment <<<"$environment"
{{- with .Server.Certificates}}
install -m 0644 /dev/stdin {{$.CertificatesFile}} <<'CERTIFICATES'
{{.}}CERTIFICATES
{{- end}}

install -m 0644 /dev/stdin /etc/systemd/system/{{.Name}}.service <<'UNIT'
{{template "server.service" .}}UNIT
systemctl daemon-reload
systemctl enable --now {{.Name}}.service

# Wait until the load balancer reports the server healthy.
deadline=$((SECONDS + {{.HealthySeconds}}))
state=unknown
until [[ $state == healthy ]]; do
  if ((SECONDS > deadline)); then
    echo "boot: the target group says $state after {{.HealthySeconds}} s" >&2
    systemctl status --no-pager --lines 20 {{.Name}}.service >&2 || true
    exit 1
  fi
  sleep 5
  state=$(timeout 30 aws elbv2 describe-target-health --target-group-arn '{{.TargetGroup}}' --targets "Id=$instance_id,Port={{.Port}}" \
    --query 'TargetHealthDescriptions[0].TargetHealth.State' --output text) || state=unknown
done
wait "$observer" || echo 'boot: no CloudWatch agent; logs are in the journal only' >&2
