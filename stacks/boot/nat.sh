#!/bin/bash
# First boot of a NAT instance: pass on what servers of the VPC send, and tell CloudFormation, which leads them here only
# then. The one package comes from Amazon Linux's repository in S3. A Go template: stacks/nat.go fills it in.
set -euo pipefail

export AWS_DEFAULT_REGION='{{.Region}}'
export AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=8

signal() {
  local status=SUCCESS token instance_id
  (($1 == 0)) || status=FAILURE
  token=$(curl --silent --show-error --fail --retry 5 --max-time 5 --request PUT \
    --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
  instance_id=$(curl --silent --show-error --fail --retry 5 --max-time 5 \
    --header "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/meta-data/instance-id)
  for _ in {1..12}; do # the permissions of a new role may take seconds to arrive
    aws cloudformation signal-resource --stack-name '{{.Stack}}' --logical-resource-id '{{.Instance}}' \
      --unique-id "$instance_id" --status "$status" && return
    sleep 5
  done
}
trap 'signal $?' EXIT

dnf install --assumeyes --quiet iptables-services
echo net.ipv4.ip_forward=1 >/etc/sysctl.d/90-nat.conf
sysctl --quiet -p /etc/sysctl.d/90-nat.conf

systemctl enable --now iptables.service
iptables --flush FORWARD
iptables --policy FORWARD DROP
iptables --append FORWARD --source '{{.Addresses}}' --jump ACCEPT
iptables --append FORWARD --match conntrack --ctstate RELATED,ESTABLISHED --jump ACCEPT
interface=$(ip -4 route show default | awk '{ print $5; exit }')
iptables --table nat --append POSTROUTING --out-interface "$interface" --source '{{.Addresses}}' --jump MASQUERADE
iptables-save >/etc/sysconfig/iptables # what iptables.service loads at the next boot
