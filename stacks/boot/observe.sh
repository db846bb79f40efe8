# Sends logs and metrics to CloudWatch. The setup runs in the background, and the boot waits for it at its end. If it fails,
# the server serves without an agent, and the alarm SilentServers starts.
observe() {
  packages amazon-cloudwatch-agent logrotate
  install -d -m 0755 /etc/{{.Name}} /etc/systemd/system/logrotate.timer.d
  install -m 0644 /dev/stdin /etc/{{.Name}}/agent.json <<'AGENT'
{{template "agent.json" .}}AGENT
  local scrape
  scrape=$(cat <<'PROMETHEUS'
{{template "prometheus.yaml" .}}PROMETHEUS
  )
  install -m 0644 /dev/stdin /etc/{{.Name}}/prometheus.yaml <<<"${scrape/{{.InstancePlaceholder}}/"$instance_id"}"
  install -m 0644 /dev/stdin /etc/systemd/system/{{.Name}}-log.service <<'LOG'
{{template "log.service" .}}LOG
  # journald limits the journal's size; logrotate limits the copy's, once an hour.
  install -m 0644 /dev/stdin /etc/logrotate.d/{{.Name}} <<'ROTATE'
/var/log/{{.Name}}.log {
  size 50M
  rotate 0
  copytruncate
  missingok
}
ROTATE
  install -m 0644 /dev/stdin /etc/systemd/system/logrotate.timer.d/hourly.conf <<'TIMER'
[Timer]
OnCalendar=hourly
RandomizedDelaySec=0
TIMER
  chmod o+r /var/log/cloud-init-output.log
  systemctl daemon-reload
  systemctl enable --now {{.Name}}-log.service logrotate.timer
  /opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c file:/etc/{{.Name}}/agent.json
}
observe &
observer=$!
