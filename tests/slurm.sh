#!/usr/bin/env bash
# A SLURM cluster of this machine alone, for as long as a command runs (as root; Debian's packages
# slurm-wlm and munge):
#
#     tests/slurm.sh FOLDER COMMAND [ARGUMENT ...]
#
# Everything that the cluster writes is in FOLDER; SLURM_CONF tells the command where. A requeued
# job starts again after five seconds.
set -euo pipefail
folder=$(realpath -m "$1")
shift
mkdir -p "$folder"/{state,spool}
chmod 755 "$folder"
export SLURM_CONF=$folder/slurm.conf

daemons=()
trap 'kill "${daemons[@]}" 2>/dev/null || true; wait' EXIT
start() { # the program in the foreground, what it says in a file of its name
  "$@" >"$folder/$(basename "$1").log" 2>&1 &
  daemons+=($!)
}

head -c 1024 /dev/urandom >"$folder/munge.key"
chmod 400 "$folder/munge.key"
start munged --foreground --force --key-file="$folder/munge.key" --socket="$folder/munge" \
  --pid-file="$folder/munge.pid" --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"

controller=$(shuf -i 20000-29999 -n 1)
cat >"$SLURM_CONF" <<CONF
ClusterName=alone
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmUser=root
AuthInfo=socket=$folder/munge,cred_expire=5
SlurmctldPort=$controller
SlurmdPort=$((controller + 10000))
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
NodeName=$(hostname) NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
until [ -S "$folder/munge" ]; do sleep 0.1; done
start slurmctld -D
start slurmd -D
for _ in $(seq 300); do
  if timeout 5 sinfo -h -o %T 2>/dev/null | grep -q idle; then
    "$@"
    exit
  fi
  sleep 0.1
done
echo "no node within 30 seconds; see $folder/*.log" >&2
exit 1
