#!/usr/bin/env bash
# Proves the README's first lines: in a fresh Debian 12 root with only git and make added, a clone of this repository
# (its last commit) runs a command to status 0.
#   deploy/demo/bare_root.sh [COMMAND]      default: make demo
# Needs root rights, debootstrap and 15 GB in TMPDIR (default /tmp). The machine's apt sources, pip settings and
# certificates are copied as they are, so mirrors work. Mounts and the root are removed at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
command=${1:-make demo}

die() { printf 'bare-root: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || die 'needs root rights (for chroot and mounts)'
command -v debootstrap >/dev/null || die 'debootstrap is missing: apt-get install debootstrap'
root=$(mktemp -d "${TMPDIR:-/tmp}/bare-root.XXXXXX")
free_gb=$(($(df -Pk "$root" | awk 'NR==2 {print $4}') / 1000000))
[ "$free_gb" -ge 15 ] || { rmdir "$root"; die "needs 15 GB in ${TMPDIR:-/tmp}, $free_gb GB are free: set TMPDIR"; }

mounts=()
attach() {  # attach mount-options... TARGET: mounts below the root and remembers it.
  local target=$root${*: -1}
  mkdir -p "$target"
  mount "${@:1:$#-1}" "$target"
  mounts+=("$target")
}
clean() {
  local i
  for ((i = ${#mounts[@]} - 1; i >= 0; i--)); do umount -l "${mounts[$i]}" || true; done
  # Never follows a mount that could not be undone.
  rm -rf --one-file-system "$root"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The first Debian mirror that the machine itself uses. Not every machine has all of these files.
mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } |
  awk '/^deb / {for (i = 2; i <= NF; i++) if ($i ~ /^https?:.*\/debian\/?$/) {print $i; exit}}
       /^URIs:/ {for (i = 2; i <= NF; i++) if ($i ~ /^https?:.*\/debian\/?$/) {print $i; exit}}')
echo "bare-root: debootstrap of bookworm into $root"
debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "${mirror:-http://deb.debian.org/debian}" \
  > "$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; die "debootstrap failed; its log is $root.log"; }
rm -f "$root.log"

copy() {  # copy PATH...: what is there, to the same place below the root.
  local path
  for path in "$@"; do
    [ -e "$path" ] || continue
    mkdir -p "$root$(dirname "$path")"
    rm -rf "$root$path"  # Never written through a link, which would lead out of the root.
    cp -aL "$path" "$root$(dirname "$path")/"
  done
}
rm -f "$root/etc/apt/sources.list"
copy /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/auth.conf /etc/apt/auth.conf.d /etc/apt/trusted.gpg.d \
  /etc/apt/keyrings /usr/share/keyrings /etc/pip.conf /etc/ssl/certs /usr/local/share/ca-certificates /etc/resolv.conf \
  /etc/hosts
[ -e "${HOME:-/}/.config/pip" ] && mkdir -p "$root/root/.config" && cp -aL "$HOME/.config/pip" "$root/root/.config/"
# Of apt's own settings only those about fetching: hooks name programs that a bare root does not have.
for file in /etc/apt/apt.conf.d/*; do
  if grep -q '^ *Acquire' "$file" && ! grep -q 'Invoke' "$file"; then copy "$file"; fi
done

attach -t proc proc /proc
attach -t sysfs -o ro sysfs /sys
attach --rbind --make-rslave /dev /dev
# Wheels that pip finds in a folder of this machine.
for folder in ${PIP_FIND_LINKS:-}; do
  if [ -d "$folder" ]; then attach --bind -o ro "$folder" "$folder"; fi
done

settings=(HOME="$(getent passwd root | cut -d: -f6)" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb)
while IFS= read -r line; do settings+=("$line"); done < <(
  env | grep -E '^(PIP_[A-Z_]+|https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE)=')
git bundle create -q "$root/finetuned.bundle" HEAD

inside() { chroot "$root" /usr/bin/env -i "${settings[@]}" /bin/bash -c "$1"; }
inside 'apt-get update -q && apt-get install -y -q git make' >/dev/null
echo "bare-root: $command"
started=$SECONDS
inside "git clone -q /finetuned.bundle /clone && cd /clone && $command"
echo "bare-root: '$command' ended with status 0 after $((SECONDS - started)) seconds"
