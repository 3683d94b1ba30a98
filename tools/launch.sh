# Shared by dist_train.sh and dist_test.sh; not to be run.

# launch TOOL CONFIG NPROC [options]: start the tool NPROC times by torchrun.
launch() {
    local tool="$1"
    shift
    if [ $# -lt 2 ] || ! [[ "$2" =~ ^[1-9][0-9]*$ ]]; then
        echo "usage: tools/dist_$(basename "$tool" .py).sh CONFIG ... NPROC [options];" \
            "NPROC is a number from 1, not '${2:-}'" >&2
        exit 2
    fi
    local config="$1" processes="$2"
    shift 2

    local nodes="${NNODES:-1}"
    local meeting
    if [ "$nodes" -eq 1 ] && [ -z "${PORT:-}" ]; then
        meeting=(--standalone) # finds a free port
    else
        meeting=(
            --nnodes "$nodes" --node-rank "${NODE_RANK:-0}"
            --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${PORT:-29500}"
        )
    fi

    # Share the cores between the processes; more than 8 threads gain nothing.
    if [ -z "${OMP_NUM_THREADS:-}" ]; then
        local threads=$(($(nproc) / processes))
        threads=$((threads < 1 ? 1 : threads))
        export OMP_NUM_THREADS=$((threads > 8 ? 8 : threads))
    fi

    local python="${PYTHON:-python}"
    local root
    root="$(dirname "$(dirname "$tool")")"
    if [ -d "$root/ssod_mm" ]; then # not where the package is installed
        export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
    fi
    # A mistake in the command is then one line, not one per process and a traceback.
    "$python" "$tool" "$config" "$@" --check-files >/dev/null || exit $?
    exec "$python" -m torch.distributed.run "${meeting[@]}" \
        --nproc-per-node "$processes" "$tool" "$config" --launcher pytorch "$@"
}
