export AWS_DEFAULT_REGION='{{.Region}}'
export AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=8

metadata() {
  local token
  token=$(curl --silent --show-error --fail --retry 5 --max-time 5 --request PUT \
    --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
  curl --silent --show-error --fail --retry 5 --max-time 5 \
    --header "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/$1"
}
instance_id=$(metadata meta-data/instance-id)

# try repeats a command for up to a minute: permissions of a new role may take some seconds to work.
try() {
  for _ in {1..12}; do
    "$@" && return
    sleep 5
  done
  echo "boot: gave up on: $*" >&2
  return 1
}
