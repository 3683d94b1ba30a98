#!/usr/bin/env bash
# Test with several processes:
#   tools/dist_test.sh CONFIG CHECKPOINT [CHECKPOINT ...] NPROC [options of test.py]
#
# The variables are those of dist_train.sh.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
source "$here/launch.sh"
usage() {
    echo "usage: tools/dist_test.sh CONFIG CHECKPOINT [CHECKPOINT ...] NPROC" \
        "[options of test.py]" >&2
    exit 2
}
[ $# -ge 3 ] || usage
config="$1"
checkpoints=("$2")
shift 2
# What follows up to the first number or option are the checkpoints of an ensemble.
while [ $# -gt 0 ] && ! [[ "$1" =~ ^([0-9]+$|-) ]]; do
    checkpoints+=("$1")
    shift
done
[ $# -gt 0 ] || usage
processes="$1"
shift
launch "$here/test.py" "$config" "$processes" "${checkpoints[@]}" "$@"
