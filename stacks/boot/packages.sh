# Installs packages of Amazon Linux, whose repository is in S3. dnf needs several hundred MiB of memory. A machine with less
# than 1.5 GiB gets swap for that time, because the kernel would kill dnf.
packages() {
  local memory swap="/var/swapfile" status=0
  memory=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo) # KiB
  if ((memory < 1572864)) && [[ ! -e $swap ]]; then
    dd if=/dev/zero of="$swap" bs=1M count=1024 status=none
    chmod 0600 "$swap"
    mkswap "$swap" >/dev/null
    swapon "$swap"
  fi
  attempt 3 80 dnf install --assumeyes --quiet "$@" || status=1
  if [[ -e $swap ]]; then
    swapoff "$swap" && rm "$swap"
  fi
  return $status
}
