#!/bin/bash
# The life of one loader: fetch the lab, load the application at the same time as the others, leave the result in S3, and
# end. A Go template: stacks/load.go fills it in.
set -euo pipefail

# Whatever happens, the machine ends itself, and with it what it costs.
shutdown -P +{{.DeadlineMinutes}} 'the load test should be over'

{{template "common.sh" .}}
# Those that one command has launched share a reservation, and the time of it.
folder='s3://{{.Results}}/'$(metadata meta-data/reservation-id)
finish() {
  aws s3 cp --only-show-errors /var/log/cloud-init-output.log "$folder/$instance_id.log" || true
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
ulimit -n "$(ulimit -H -n)" # a connection is a file
/run/lab load --url "$url" --rate '{{.Config.Rate}}' --duration '{{.Config.Duration}}' --sessions {{.Config.Sessions}} \
{{- with .Config.Mix}}
  --mix '{{.}}' \
{{- end}}
{{- if .Config.History}}
  --history /run/history.jsonl \
{{- end}}
  --json /run/result.json
aws s3 cp --only-show-errors /run/result.json "$folder/$instance_id.json"
{{- if .Config.History}}
gzip /run/history.jsonl
aws s3 cp --only-show-errors /run/history.jsonl.gz "$folder/$instance_id.history.jsonl.gz"
{{- end}}
