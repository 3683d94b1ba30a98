#!/usr/bin/env bash
# Builds the pinned environment in .venv; does nothing when it is up to date.
#
#   PYTHON          interpreter to use (default: the first of python3, python3.12,
#                   python3.11, python3.10 that is 3.10 to 3.12)
#   VENV            folder of the environment (default: .venv)
#   PIP_*           honoured by every pip call; PIP_FIND_LINKS may name a folder
#                   with a prebuilt onedl-mmcv wheel, which saves the long build
#   TORCH_INDEX_URL package index to take torch from
#   MAX_JOBS        compiler processes of the onedl-mmcv build
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=${VENV:-.venv}
py=$venv/bin/python
stamp=$venv/.setup-done
torch_cpu_index=https://download.pytorch.org/whl/cpu
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '[set-up %4d s] %s\n' "$SECONDS" "$*"; }
die() { printf '\nset-up failed: %s\n' "$*" >&2; exit 1; }
pinned() { grep -m1 -oE "^$1==[^ ;]+" requirements.txt; }
supported() {
  "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' \
    >/dev/null 2>&1
}
# Quiet in a log, pip's own bars on a terminal.
pip() {
  local quiet=-q
  [ -t 1 ] && quiet=
  "$py" -m pip "$1" $quiet "${@:2}"
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
    if supported "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  candidate=${PYTHON:-python3}
  die "Python 3.10, 3.11 or 3.12 is needed; '$candidate' is \
$("$candidate" --version 2>/dev/null || echo 'not a working Python').
  Install one of these versions and name it: PYTHON=/path/to/python3.11 make setup"
}

create_venv() {
  supported "$py" && return
  local python
  python=$(find_python)
  say "creating $venv with $("$python" --version)"
  "$python" -m venv --clear "$venv" || die "'$python -m venv' does not work.
  On Debian and Ubuntu: sudo apt-get install python3-venv"
}

has_nvidia_gpu() { command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; }

reachable() {
  "$py" -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=5)' "$1/" \
    >/dev/null 2>&1
}

install_torch() {
  local wanted
  wanted=$(pinned torch)
  "$py" -c "import torch; assert torch.__version__.split('+')[0] == '${wanted#*==}'" \
    >/dev/null 2>&1 && return
  if [ -n "${TORCH_INDEX_URL:-}" ]; then
    say "installing $wanted from $TORCH_INDEX_URL"
    pip install --no-deps --index-url "$TORCH_INDEX_URL" "$wanted"
  elif has_nvidia_gpu || [ "$(uname -s)" != Linux ]; then
    say "installing $wanted"
    pip install --no-deps "$wanted"
  elif pip install --no-deps --no-index "$wanted+cpu" >/dev/null 2>&1; then
    say "installed $wanted+cpu from the wheels at hand"
  elif reachable "$torch_cpu_index"; then
    say "installing $wanted+cpu (no NVIDIA GPU here)"
    pip install --no-deps --index-url "$torch_cpu_index" "$wanted+cpu"
  else
    say "installing $wanted; its CPU build is out of reach, so the default build"
    say "  with CUDA libraries of several GB is taken"
    pip install --no-deps "$wanted"
  fi
}

# The three named here are installed without their requirements: mmcv and mmdetection need
# torch first, and imaug, which mmdetection imports, would bring a second OpenCV.
install_plain_requirements() {
  say "installing the pinned requirements"
  local plain=$venv/requirements-plain.txt
  grep -vE '^(onedl-mmcv|onedl-mmdetection|imaug)==' requirements.txt > "$plain"
  pip install -r "$plain" || die "pip could not install the requirements, see above"
}

# On a machine without libGL the desktop build of OpenCV does not import.
check_opencv() {
  "$py" -c 'import cv2' >/dev/null 2>&1 && return
  local wanted
  wanted=$(pinned opencv-python)
  say "cv2 does not import (libGL is missing?): taking opencv-python-headless"
  pip uninstall -y opencv-python opencv-python-headless
  pip install --no-deps "opencv-python-headless==${wanted#*==}"
  "$py" -c 'import cv2' || die "cv2 still does not import, see the error above.
  On Debian and Ubuntu: sudo apt-get install libgl1 libglib2.0-0"
}

# Prints "works", or why mmcv's compiled operators do not.
mmcv_state() {
  { "$py" - 2>&1 || echo "python ended with exit code $?"; } <<'PYTHON' | tail -n1
import torch
try:
    from mmcv.ops import nms
    boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 8], [20, 20, 29, 29]])
    kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)[1].tolist()
    print("works" if kept == [0, 2] else f"nms keeps {kept} instead of [0, 2]")
except Exception as error:
    print(f"{type(error).__name__}: {error}".splitlines()[0])
PYTHON
}

check_compiler() {
  local header
  if ! command -v "${CXX:-c++}" >/dev/null 2>&1 && ! command -v g++ >/dev/null 2>&1; then
    die "no C++ compiler (c++, g++ or \$CXX), which onedl-mmcv's operators need.
  Debian and Ubuntu: sudo apt-get install g++
  Fedora:            sudo dnf install gcc-c++
  macOS:             xcode-select --install
  Or give a prebuilt wheel of onedl-mmcv: PIP_FIND_LINKS=/folder/with/wheels make setup"
  fi
  header=$("$py" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
  [ -f "$header" ] || die "$header is missing; the C++ build needs Python's headers.
  Debian and Ubuntu: sudo apt-get install python3-dev"
}

# Nearly all of the compiler's time goes into torch's headers, which each of mmcv's 84
# source files reads again. This prints a compiler that reads them once: its first call
# precompiles the header that mmcv's files include, with the flags of that call. Where
# that does not work, the compiler ignores it and the build only takes longer.
compiler_with_headers() {
  local folder=$1
  mkdir -p "$folder"
  printf '%s\n' '#include <torch/types.h>' > "$folder/torch_once.hpp"
  cat > "$folder/c++" <<SCRIPT
#!/usr/bin/env bash
header=$folder/torch_once.hpp
cxx="${CXX:-c++}"
SCRIPT
  cat >> "$folder/c++" <<'SCRIPT'
case " $* " in
  *" -c "*) ;;
  *) exec $cxx "$@" ;;  # linking
esac
(
  flock 9
  [ -e "$header.tried" ] && exit
  touch "$header.tried"
  flags=() skip=
  for word in "$@"; do
    if [ -n "$skip" ]; then skip=; continue; fi
    case $word in
      -c|-MMD|-MD) ;;
      -o|-MF) skip=1 ;;
      *.cpp) ;;
      *) flags+=("$word") ;;
    esac
  done
  $cxx "${flags[@]}" -x c++-header "$header" -o "$header.draft" &&
    mv "$header.draft" "$header.gch"
) 9> "$header.lock"
exec $cxx -include "$header" "$@"
SCRIPT
  chmod +x "$folder/c++"
  echo "$folder/c++"
}

build_mmcv() {
  local wheels=$1 wanted=$2 log=$venv/onedl-mmcv-build.log builder done_so_far last=
  local headers compiler
  check_compiler
  say "compiling ${wanted/==/ } from source: about 2 minutes on 2 cores, once"
  say "  meanwhile, in another terminal: check and convert your images and boxes (COCO,"
  say "  YOLO or VOC), see what the methods do, or look at a training:"
  say "    $venv/bin/ssod train FOLDER --check-files"
  say "    docs/concepts.md, docs/own_data.md"
  say "    $venv/bin/ssod print-config dtg/dtg_faster-rcnn_r50_coco.py --diff"
  headers=$(mktemp -d)
  compiler=$(compiler_with_headers "$headers")
  # Debug symbols would double the compiler's work; nobody steps through mmcv here.
  CXX=$compiler CFLAGS="-g0 ${CFLAGS:-}" MMCV_WITH_OPS=1 "$py" -m pip wheel -v --no-deps --no-build-isolation --no-cache-dir \
    --no-binary onedl-mmcv --wheel-dir "$wheels" "$wanted" > "$log" 2>&1 &
  builder=$!
  trap 'kill "$builder" 2>/dev/null || true; rm -rf "$headers"' EXIT
  while kill -0 "$builder" 2>/dev/null; do
    sleep 2
    done_so_far=$(grep -oE '^ *\[[0-9]+/[0-9]+\]' "$log" | tail -n1 | tr -d ' []' || true)
    if [ "$done_so_far" != "$last" ]; then
      say "  compiled $done_so_far files"
      last=$done_so_far
    fi
  done
  trap - EXIT
  rm -rf "$headers"
  if ! wait "$builder"; then
    tail -n 25 "$log" >&2
    die "onedl-mmcv did not compile; the whole output is in $log.
  Out of memory? Try fewer compilers at once: MAX_JOBS=1 make setup"
  fi
  pip install --no-deps --no-index --force-reinstall --find-links "$wheels" "$wanted"
}

install_mmcv() {
  local wanted tag wheels state
  wanted=$(pinned onedl-mmcv)
  [ "$(mmcv_state)" = works ] && return
  # A compiled wheel fits one Python and one torch: kept for the next set-up.
  tag=$("$py" -c 'import sys, torch
print(f"cp{sys.version_info[0]}{sys.version_info[1]}-torch{torch.__version__}")')
  wheels=.wheels/$tag
  mkdir -p "$wheels"
  if pip install --no-deps --no-cache-dir --only-binary onedl-mmcv \
    --force-reinstall --find-links "$wheels" "$wanted" >/dev/null 2>&1; then
    state=$(mmcv_state)
    if [ "$state" = works ]; then
      say "took a prebuilt ${wanted/==/ }"
      return
    fi
    say "the prebuilt ${wanted/==/ } does not fit here ($state)"
    pip uninstall -y onedl-mmcv
    rm -f "$wheels"/onedl_mmcv-*.whl
  fi
  build_mmcv "$wheels" "$wanted"
  state=$(mmcv_state)
  [ "$state" = works ] || die "mmcv's compiled operators do not work: $state
  torch and mmcv may have been built for different compilers or CUDA versions. Start
  over with:  rm -rf $venv .wheels && make setup
  and if that ends here too, see $venv/onedl-mmcv-build.log"
}

key=$(cat requirements.txt setup.py tools/setup_env.sh | cksum)\ $PWD
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ] && supported "$py"; then
  exit 0
fi

create_venv
rm -f "$stamp"
install_torch
install_plain_requirements
check_opencv
pip install --no-deps --no-build-isolation --editable .
install_mmcv
say "installing $(pinned onedl-mmdetection)"
pip install --no-deps --no-build-isolation "$(pinned imaug)" "$(pinned onedl-mmdetection)"
"$py" -c 'import mmdet.datasets, ssod_mm' || die "the environment does not import, see above"
echo "$key" > "$stamp"
say "done: $venv is ready"
