#!/usr/bin/env bash
# Train with several processes: tools/dist_train.sh CONFIG NPROC [options of train.py]
#
# NPROC processes on this machine, one per GPU, or on the CPU where there is none.
# Several machines: run it on each with NNODES, its own NODE_RANK (from 0), and the
# same MASTER_ADDR and PORT (of the machine with NODE_RANK 0).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
source "$here/launch.sh"
launch "$here/train.py" "$@"
