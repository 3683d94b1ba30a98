#!/usr/bin/env bash
# Test with several processes:
#   tools/dist_test.sh CONFIG CHECKPOINT NPROC [options of test.py]
#
# The variables are those of dist_train.sh.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
source "$here/launch.sh"
if [ $# -lt 3 ]; then
    echo "usage: tools/dist_test.sh CONFIG CHECKPOINT NPROC [options of test.py]" >&2
    exit 2
fi
config="$1"
checkpoint="$2"
processes="$3"
shift 3
launch "$here/test.py" "$config" "$processes" "$checkpoint" "$@"
