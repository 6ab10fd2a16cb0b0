#!/usr/bin/env bash
# Installs what the build needs: Debian packages and pinned wheels in .deps/. Does nothing that is already done.
#   cmake/setup.sh                   build dependencies
#   cmake/setup.sh --python-checks   adds .deps/checks, the Python peers that tests compare with
# Honours pip's and apt's own mirror settings.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

need_space() {  # need_space GIGABYTES FOR_WHAT
  local free_kb
  free_kb=$(df -Pk . | awk 'NR==2 {print $4}')
  [ "$free_kb" -ge $(($1 * 1000000)) ] || die "$2 needs $1 GB, $((free_kb / 1000000)) GB free here: make room and run again"
}

install_debian_packages() {
  local missing=()
  local package
  while read -r package; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done < cmake/apt-packages.txt
  [ ${#missing[@]} -eq 0 ] && return
  local sudo=''
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "these Debian packages are missing and you are not root: ${missing[*]}"
    sudo=sudo
  fi
  need_space 2 'installing Debian packages'
  say "installing ${#missing[@]} Debian packages (up to 1 GB on a bare machine)"
  $sudo apt-get update -q >/dev/null || die 'apt-get update failed: check the network and /etc/apt/sources.list'
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null ||
    die 'apt-get install failed: see the lines above'
}

# install_wheels VENV LOCK SIZE: wheels of a lock file in a virtual environment, with the lock's digest as their stamp.
install_wheels() {
  local venv=$1 lock=$2 size=$3 stamp digest
  stamp=$venv/.installed-$(basename "$lock" .lock)
  digest=$(sha256sum "$lock" | cut -d' ' -f1)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$digest" ] && return
  need_space 10 "installing $lock"
  say "installing the wheels of $lock ($size download) into $venv"
  [ -x "$venv/bin/pip" ] || /usr/bin/python3 -m venv "$venv" || die "cannot make $venv: is python3-venv installed?"
  "$venv/bin/pip" install -q --no-deps --only-binary=:all: --disable-pip-version-check -r "$lock" ||
    die 'pip install failed: check the network; what was downloaded is kept in the cache of pip, so run again'
  echo "$digest" > "$stamp"
}

mkdir -p .deps
install_debian_packages
install_wheels .deps/venv cmake/wheels.lock '2.6 GB'
install_wheels .deps/venv cmake/cuda.lock '110 MB'
if [ "${1:-}" = --python-checks ] && [ -f cmake/checks.lock ]; then
  install_wheels .deps/checks cmake/checks.lock '65 MB'
  # PEFT and transformers use the torch of the first environment.
  site=$(echo .deps/checks/lib/python3*/site-packages)
  realpath .deps/venv/lib/python3*/site-packages > "$site/torch-of-the-build.pth"
fi
