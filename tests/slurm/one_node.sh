#!/usr/bin/env bash
# A throw-away Slurm of one node on the loopback device, for trials and tests.
#
#   eval "$(tests/slurm/one_node.sh start FOLDER)"   # sets SLURM_CONF, sinfo shows it
#   tests/slurm/one_node.sh stop FOLDER              # ends its jobs and daemons
#
# Everything lies in FOLDER, nothing in /etc or /run; it runs as whoever calls it, root
# or not, without systemd and without control groups. It has no accounting, so no sacct.
# Partitions: "batch" (the default), whose jobs are preempted and requeued by those of
# "urgent", and "grace", whose jobs have 20 s after the signal before that.
#
# WAIT_S seconds at most it waits for the node (default: 30).
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }
die() { say "one_node.sh: $*"; exit 1; }

check_installed() {
  local missing=() one
  for one in munged:munge slurmctld:slurmctld slurmd:slurmd sbatch:slurm-client; do
    command -v "${one%%:*}" >/dev/null || missing+=("${one#*:}")
  done
  [ ${#missing[@]} -eq 0 ] || die "missing packages: ${missing[*]};" \
    "on Debian: apt-get install slurm-wlm munge"
}

free_ports() {
  python3 - <<'PYTHON'
import socket

sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in sockets))
PYTHON
}

write_conf() {
  local node user ports cpus
  node=$(hostname -s)
  cpus=$(slurmd -C | grep -oE '\bCPUs=[0-9]+')
  user=$(id -un)
  read -r -a ports <<<"$(free_ports)"
  cat >"$folder/slurm.conf" <<CONF
ClusterName=one-node
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
# A requeued job waits until its old credential has expired: two minutes by default.
AuthInfo=socket=$folder/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# What a cluster may forbid by default; the jobs of a sweep ask for it.
JobRequeue=0
ReturnToService=2
KillWait=5
SlurmdTimeout=30
NodeName=$node NodeAddr=127.0.0.1 $cpus State=UNKNOWN
PartitionName=batch Nodes=ALL Default=YES PriorityTier=1
PartitionName=grace Nodes=ALL PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes=ALL PriorityTier=2
CONF
}

start() {
  check_installed
  if [ -e "$folder/slurm.conf" ]; then
    die "$folder is in use: stop it first, or take another folder"
  fi
  mkdir -p "$folder/state" "$folder/spool"
  write_conf
  (umask 077 && head -c 1024 /dev/urandom >"$folder/munge.key")
  # --force: the folders above may be writable by others or closed to them.
  munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" \
    --seed-file="$folder/munged.seed" --num-threads=2 >"$folder/start.log" 2>&1 ||
    die "munged does not start: $(tail -n 3 "$folder/start.log" "$folder/munged.log")"
  export SLURM_CONF="$folder/slurm.conf"
  slurmctld -c -f "$SLURM_CONF" >>"$folder/start.log" 2>&1 &&
    slurmd -f "$SLURM_CONF" >>"$folder/start.log" 2>&1 ||
    { stop; die "the daemons do not start: $(tail -n 5 "$folder/start.log")"; }
  local deadline=$((SECONDS + ${WAIT_S:-30}))
  until [ "$(sinfo --noheader -o %t -p batch 2>/dev/null)" = idle ]; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      tail -n 5 "$folder"/slurmctld.log "$folder"/slurmd.log >&2
      stop
      die "the node does not come up"
    fi
    sleep 0.2
  done
  say "$(sinfo --noheader -o '%n: %c CPUs, %t' -p batch), $(slurmd -V)"
  printf 'export SLURM_CONF=%q\n' "$SLURM_CONF"
}

# End a daemon by the file that holds its number, and wait for it.
end() {
  local pid
  [ -s "$1" ] || return 0
  pid=$(<"$1")
  kill -TERM "$pid" 2>/dev/null || return 0
  for _ in {1..100}; do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
}

stop() {
  export SLURM_CONF="$folder/slurm.conf"
  [ -e "$SLURM_CONF" ] || die "$folder holds no Slurm"
  if scancel --quiet --me 2>/dev/null; then
    for _ in {1..100}; do
      [ -n "$(squeue --noheader 2>/dev/null)" ] || break
      sleep 0.2
    done
  fi
  end "$folder/slurmctld.pid"
  end "$folder/slurmd.pid"
  end "$folder/munged.pid"
  mv "$SLURM_CONF" "$folder/slurm.conf.stopped"
}

usage() { die "usage: one_node.sh start|stop FOLDER"; }

[ $# -eq 2 ] || usage
mkdir -p "$2"
folder=$(cd "$2" && pwd)
case $1 in
start | stop) "$1" ;;
*) usage ;;
esac
