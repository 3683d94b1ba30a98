#!/usr/bin/env bash
# Train on a Slurm cluster: tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options]
#
# Variables: GPUS (in all, default 8), GPUS_PER_NODE (default min(GPUS, 8)),
# CPUS_PER_TASK (default 5), SRUN_ARGS (more options of srun).
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of train.py]" >&2
    exit 2
fi
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
partition="$1"
job_name="$2"
config="$3"
shift 3

gpus="${GPUS:-8}"
gpus_per_node="${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}"
cpus_per_task="${CPUS_PER_TASK:-5}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
if [ -d "$(dirname "$here")/ssod_mm" ]; then # not where the package is installed
    export PYTHONPATH="$(dirname "$here")${PYTHONPATH:+:$PYTHONPATH}"
fi

# shellcheck disable=SC2086  # SRUN_ARGS holds several words
exec srun --partition="$partition" --job-name="$job_name" \
    --gres="gpu:$gpus_per_node" --ntasks="$gpus" \
    --ntasks-per-node="$gpus_per_node" --cpus-per-task="$cpus_per_task" \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$here/train.py" "$config" --launcher slurm "$@"
