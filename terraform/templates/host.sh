#!/bin/bash
# Prepares a host before its ECS agent starts: /scratch on the volume that the launch template adds, and time to stop.
set -euo pipefail

# A host without its scratch volume would fill its root disk: it takes no job, and AWS Batch replaces it.
trap 'systemctl mask --now --no-block ecs; shutdown -h now' ERR

# Spot gives two minutes' notice. Jobs get SIGTERM, and have these two minutes but for ten seconds.
cat >>/etc/ecs/ecs.config <<'CONFIG'
ECS_ENABLE_SPOT_INSTANCE_DRAINING=true
ECS_CONTAINER_STOP_TIMEOUT=110s
CONFIG

# The disk asked for as /dev/xvdb is so called only where udev knows its name. Else it is the EBS disk without partitions:
# the root disk has some, and an instance store is not EBS.
scratch_disk() {
  local disk
  for disk in /dev/xvdb /dev/sdb; do
    [ -b "$disk" ] && readlink -f "$disk" && return
  done
  for disk in $(lsblk --nodeps --noheadings --paths --output NAME,MODEL | awk '/Elastic Block Store/ {print $1}'); do
    [ "$(lsblk --noheadings --output NAME "$disk" | wc -l)" -eq 1 ] && echo "$disk" && return
  done
  return 1
}

for _ in $(seq 60); do
  disk=$(scratch_disk) && break
  sleep 1
done

mkfs.xfs -f -q "$disk"
mkdir -p /scratch
mount -o noatime "$disk" /scratch
chown 10001:10001 /scratch
chmod 0700 /scratch
