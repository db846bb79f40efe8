#!/bin/bash
# Runs one loader: downloads the lab, sends load at the same time as the other loaders, uploads the result to S3, and
# terminates the instance. This is a Go template, which stacks/load.go renders.
set -euo pipefail

# Schedules the termination first, so that a failed loader doesn't go on costing money.
shutdown -P +{{.DeadlineMinutes}} 'the load test should be over'

{{template "common.sh" .}}
# Loaders that were launched together share a reservation id and a launch time.
folder='s3://{{.Results}}/'$(metadata meta-data/reservation-id)
finish() {
  attempt 3 60 aws s3 cp --only-show-errors /var/log/cloud-init-output.log "$folder/$instance_id.log" || true
  shutdown -P now
}
trap finish EXIT

try aws s3 cp --only-show-errors 's3://{{.Bucket}}/{{.Key}}' /run/lab
chmod 0755 /run/lab
url=$(try aws cloudformation describe-stacks --stack-name '{{.LabStack}}' \
  --query "Stacks[0].Outputs[?OutputKey=='URL'].OutputValue" --output text)

launched=$(metadata dynamic/instance-identity/document | sed -n 's/.*"pendingTime" *: *"\([^"]*\)".*/\1/p')
wait=$(($(date --date "$launched" +%s) + {{.StartSeconds}} - $(date +%s)))
if ((wait > 0)); then
  sleep "$wait"
else
  echo "loader: ready $((-wait)) s after the others began" >&2
fi
ulimit -n "$(ulimit -H -n)" # each connection needs a file descriptor
/run/lab load --url "$url" --rate '{{.Config.Rate}}' --duration '{{.Config.Duration}}' --sessions {{.Config.Sessions}} \
{{- with .Config.Mix}}
  --mix '{{.}}' \
{{- end}}
{{- if .Config.History}}
  --history /var/tmp/history.jsonl \
{{- end}}
  --json /run/result.json
try aws s3 cp --only-show-errors /run/result.json "$folder/$instance_id.json"
{{- if .Config.History}}
gzip /var/tmp/history.jsonl
attempt 3 3600 aws s3 cp --only-show-errors /var/tmp/history.jsonl.gz "$folder/$instance_id.history.jsonl.gz"
{{- end}}
