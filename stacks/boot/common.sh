export AWS_DEFAULT_REGION='{{.Region}}'
export AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=8

# attempt TIMES SECONDS COMMAND repeats a command until it succeeds, and ends each attempt that takes longer. Every command
# that uses the network goes through it: routes, permissions and names of a new machine may take some seconds to work.
attempt() {
  local times=$1 seconds=$2
  shift 2
  for ((; times > 0; times--)); do
    timeout "$seconds" "$@" && return
    sleep 5
  done
  echo "boot: gave up on: $*" >&2
  return 1
}
try() { attempt 12 60 "$@"; }

metadata() {
  local token
  token=$(try curl --silent --show-error --fail --max-time 5 --request PUT \
    --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
  try curl --silent --show-error --fail --max-time 5 \
    --header "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/$1"
}
instance_id=$(metadata meta-data/instance-id)
