#!/usr/bin/env bash
# Installs what the build needs: Debian packages and pinned wheels in .deps/. Does nothing that is already done.
#   cmake/setup.sh                   build dependencies
#   cmake/setup.sh --python-checks   adds .deps/checks, the Python peers that tests compare with, .deps/prometheus, and clang-format
#   cmake/setup.sh --deploy          adds .deps/deploy, what checks the Kubernetes manifests
#   cmake/setup.sh --bench           adds .deps/bench, the Python peers that `make bench` and `make gpu-bench` measure against
#   cmake/setup.sh --llama           adds llama.cpp to them, for `make bench`
#   cmake/setup.sh --deepspeed       adds DeepSpeed to them, for `make bench`
# Honours pip's and apt's own mirror settings.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

root() { [ "$(id -u)" -eq 0 ] || echo sudo; }  # What a command that needs root rights is prefixed with.

need_space() {  # need_space GIGABYTES FOR_WHAT
  local free_kb
  free_kb=$(df -Pk . | awk 'NR==2 {print $4}')
  [ "$free_kb" -ge $(($1 * 1000000)) ] || die "$2 needs $1 GB, $((free_kb / 1000000)) GB free here: make room and run again"
}

is_installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }
may_install() { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null; }

apt_install() {  # apt_install PACKAGE...
  $(root) apt-get update -q >/dev/null || die 'apt-get update failed: check the network and /etc/apt/sources.list'
  $(root) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null ||
    die 'apt-get install failed: see the lines above'
}

install_debian_packages() {
  local missing=()
  local package
  while read -r package; do
    is_installed "$package" || missing+=("$package")
  done < cmake/apt-packages.txt
  [ ${#missing[@]} -eq 0 ] && return
  may_install || die "these Debian packages are missing and you are not root: ${missing[*]}"
  need_space 2 'installing Debian packages'
  say "installing ${#missing[@]} Debian packages (up to 1 GB on a bare machine)"
  apt_install "${missing[@]}"
}

# The test tidy.format takes this version only (tests/tidy/clang_format.py), and is skipped without it: who may not install packages can
# still run all other tests.
install_clang_format() {
  is_installed clang-format-14 && return
  may_install || { say 'clang-format-14 is missing and you are not root: the test tidy.format will be skipped'; return; }
  say "installing Debian's clang-format-14 (40 MB download)"
  apt_install clang-format-14
}

# install_wheels VENV LOCK SIZE: wheels of a lock file in a virtual environment, with the lock's digest as their stamp.
install_wheels() {
  local venv=$1 lock=$2 size=$3 stamp digest
  stamp=$venv/.installed-$(basename "$lock" .lock)
  digest=$(sha256sum "$lock" | cut -d' ' -f1)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$digest" ] && return
  need_space 10 "installing $lock"
  say "installing the wheels of $lock ($size download) into $venv"
  [ -x "$venv/bin/python3" ] || /usr/bin/python3 -m venv "$venv" || die "cannot make $venv: is python3-venv installed?"
  "$venv/bin/python3" -m pip install -q --no-deps --only-binary=:all: --disable-pip-version-check -r "$lock" ||
    die 'pip install failed: check the network; what was downloaded is kept in the cache of pip, so run again'
  echo "$digest" > "$stamp"
}

# install_peers VENV LOCK SIZE: wheels that use the torch of the build's own environment.
install_peers() {
  local venv=$1 site
  install_wheels "$@"
  site=$(echo "$venv"/lib/python3*/site-packages)
  realpath .deps/venv/lib/python3*/site-packages > "$site/torch-of-the-build.pth"
}

# llama.cpp for the bench, from source by a single compiler, since it is many minutes of work beside which people go on; without its part
# for images. Without it the bench says so in its rows.
build_llama() {
  local venv=$1 lock=$2 stamp=$1/.installed-llama digest
  digest=$(sha256sum "$lock" | cut -d' ' -f1)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$digest" ] && return
  need_space 2 "building $lock"
  say "building llama-cpp-python from source into $venv (77 MB download, 10 minutes or more; progress: $venv/llama-build.log)"
  if CMAKE_ARGS='-DLLAVA_BUILD=OFF' CMAKE_BUILD_PARALLEL_LEVEL=1 "$venv/bin/python3" -m pip install -v --no-deps --no-build-isolation \
    --no-binary=:all: --require-hashes --disable-pip-version-check -r "$lock" > "$venv/llama-build.log" 2>&1; then
    echo "$digest" > "$stamp"
  else
    say "llama-cpp-python was not built (see $venv/llama-build.log): the bench goes on without it"
  fi
}

# DeepSpeed for the bench, from source, since it has no wheel, and what it would compile at its first use: that needs Python's headers.
# Without it the bench says so in its rows.
build_deepspeed() {
  local venv=$1 lock=$2 stamp=$1/.installed-deepspeed digest
  digest=$(sha256sum "$lock" | cut -d' ' -f1)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$digest" ] && return
  need_space 2 "building $lock"
  if ! is_installed python3-dev && may_install; then
    say "installing Debian's python3-dev (30 MB download)"
    apt_install python3-dev
  fi
  say "building DeepSpeed from source into $venv (2 MB download, 5 minutes or more; progress: $venv/deepspeed-build.log)"
  if { DS_BUILD_OPS=0 "$venv/bin/python3" -m pip install -v --no-deps --no-build-isolation --no-binary=:all: --require-hashes \
      --disable-pip-version-check -r "$lock" &&
    MAX_JOBS=1 TORCH_EXTENSIONS_DIR=$PWD/$venv/torch-extensions "$venv/bin/python3" bench/peers/deepspeed_ops.py
  } > "$venv/deepspeed-build.log" 2>&1; then
    echo "$digest" > "$stamp"
  else
    say "DeepSpeed was not built (see $venv/deepspeed-build.log): the bench goes on without it"
  fi
}

# Prometheus for the tests of metrics and dashboards: Debian's package unpacked, not installed, since that would start a server.
unpack_prometheus() {
  [ -x .deps/prometheus/usr/bin/promtool ] && return
  local folder
  say "unpacking Debian's prometheus (19 MB download) into .deps/prometheus"
  folder=$(mktemp -d)
  (cd "$folder" && { apt-get download -q prometheus >/dev/null 2>&1 ||
    { $(root) apt-get update -q >/dev/null && apt-get download -q prometheus >/dev/null 2>&1; }; }) ||
    die 'apt-get download prometheus failed: check the network and /etc/apt/sources.list'
  rm -rf .deps/prometheus
  dpkg-deb -x "$folder"/prometheus_*.deb .deps/prometheus
  rm -rf "$folder"
}

mkdir -p .deps
install_debian_packages
install_wheels .deps/venv cmake/wheels.lock '2.6 GB'
install_wheels .deps/venv cmake/cuda.lock '110 MB'
case ${1:-} in
  --python-checks)
    install_peers .deps/checks cmake/checks.lock '140 MB'
    unpack_prometheus
    install_clang_format ;;
  --deploy) install_wheels .deps/deploy cmake/deploy.lock '10 MB' ;;
  --bench) install_peers .deps/bench cmake/bench.lock '170 MB' ;;
  --llama)
    install_peers .deps/bench cmake/bench.lock '170 MB'
    build_llama .deps/bench cmake/llama.lock ;;
  --deepspeed)
    install_peers .deps/bench cmake/bench.lock '170 MB'
    DS_ACCELERATOR=cpu build_deepspeed .deps/bench cmake/deepspeed.lock ;;
esac
