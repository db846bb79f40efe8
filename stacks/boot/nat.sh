#!/bin/bash
# First boot of a NAT instance: forwards the traffic of the VPC and signals CloudFormation, which then sets the routes.
# The one package comes from Amazon Linux's repository in S3. This is a Go template, which stacks/nat.go renders.
set -euo pipefail

{{template "common.sh" .}}
signal() {
  local status=SUCCESS
  (($1 == 0)) || status=FAILURE
  attempt 3 60 aws cloudformation signal-resource --stack-name '{{.Stack}}' --logical-resource-id '{{.Instance}}' \
    --unique-id "$instance_id" --status "$status"
}
trap 'signal $?' EXIT

{{template "packages.sh" .}}
packages iptables-services
echo net.ipv4.ip_forward=1 >/etc/sysctl.d/90-nat.conf
sysctl --quiet -p /etc/sysctl.d/90-nat.conf

systemctl enable --now iptables.service
iptables --flush FORWARD
iptables --policy FORWARD DROP
iptables --append FORWARD --source '{{.Addresses}}' --jump ACCEPT
iptables --append FORWARD --match conntrack --ctstate RELATED,ESTABLISHED --jump ACCEPT
interface=$(ip -4 route show default | awk '{ print $5; exit }')
iptables --table nat --append POSTROUTING --out-interface "$interface" --source '{{.Addresses}}' --jump MASQUERADE
iptables-save >/etc/sysconfig/iptables # iptables.service loads it at the next boot
