#!/usr/bin/env bash
# Runs a bundle (`make gpu-bundle`) as a machine with a newer Linux would: a root of Debian 13's base libraries alone, the wheels of
# cmake/wheels.lock where PyTorch would be, and no other library of the build's system. There the programs start and the golden cases
# pass on the CPU.     deploy/gpu/newer_root.sh FOLDER          needs root rights, debootstrap and the network
set -euo pipefail
folder=$(realpath "$1")
cd "$(dirname "$0")/../.."
die() { printf 'check-gpu-bundle: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || die 'needs root rights (for chroot and mounts)'
command -v debootstrap > /dev/null || die 'debootstrap is missing: apt-get install debootstrap'
site=$(realpath .deps/venv/lib/python3*/site-packages)
root=$(mktemp -d "${TMPDIR:-/tmp}/newer-root.XXXXXX")
mounts=()
clean() {
  local i
  for ((i = ${#mounts[@]} - 1; i >= 0; i--)); do umount -l "${mounts[$i]}" || true; done
  rm -rf --one-file-system "$root"
}
trap clean EXIT

mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2> /dev/null || true; } |
  awk '/^deb / {for (i = 2; i <= NF; i++) if ($i ~ /^https?:.*\/debian\/?$/) {print $i; exit}}
       /^URIs:/ {for (i = 2; i <= NF; i++) if ($i ~ /^https?:.*\/debian\/?$/) {print $i; exit}}')
echo "check-gpu-bundle: debootstrap of trixie"
[ -e /usr/share/debootstrap/scripts/trixie ] || die 'this debootstrap does not know trixie'
debootstrap --variant=minbase --include=libstdc++6 trixie "$root" "${mirror:-http://deb.debian.org/debian}" > "$root.log" 2>&1 ||
  { tail -n 20 "$root.log" >&2; die "debootstrap failed; its log is $root.log"; }
rm -f "$root.log"
mkdir -p "$root/site" "$root/bundle"
for mount in "$site:$root/site" "/proc:$root/proc" "/dev:$root/dev"; do
  mount --rbind "${mount%%:*}" "${mount#*:}"
  mount --make-rslave "${mount#*:}"
  mounts+=("${mount#*:}")
done
tar -C "$root/bundle" -xJf "$folder/bundle.tar.xz"
libraries=/bundle/lib:/site/torch/lib
for found in "$site"/nvidia/*/lib; do libraries=$libraries:/site/${found#"$site"/}; done
inside() { chroot "$root" env -i PATH=/bundle/bin:/usr/bin:/bin HOME=/ LD_LIBRARY_PATH="$libraries" "$@"; }

for program in "ft-rank version" "ftctl --version" "finetuned --version" "ft-worker --version"; do
  # shellcheck disable=SC2086  # A program and its argument.
  timeout 60 chroot "$root" env -i PATH=/bundle/bin HOME=/ LD_LIBRARY_PATH="$libraries" $program || die "$program failed"
done
inside ldd --version | sed -n 1p  # Reads all: with head the writer may be ended by a signal, and the check with it.
inside bash -c 'exec timeout 300 ft-golden compare /bundle/golden --dtype fp32' || die 'golden cases failed'
inside bash -c 'ft-golden gpu-check; [ $? -eq 1 ]' || die 'gpu-check did not name the missing driver'
echo 'check-gpu-bundle: passed'
