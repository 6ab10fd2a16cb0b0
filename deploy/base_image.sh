#!/usr/bin/env bash
# Makes localhost/debian:12-slim with debootstrap and buildah, for machines that reach Debian's archive and no registry
# of images. Does nothing when it is there. Needs root rights.
set -euo pipefail
image=localhost/debian:12-slim

die() { printf 'base-image: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || die 'needs root rights (for debootstrap)'
for tool in buildah debootstrap; do
  command -v "$tool" >/dev/null || die "$tool is missing: apt-get install buildah debootstrap"
done
buildah inspect --type image "$image" >/dev/null 2>&1 && exit 0

root=$(mktemp -d "${TMPDIR:-/tmp}/base-image.XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT
# The first Debian mirror that the machine itself uses.
mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } |
  awk '/^deb / {for (i = 2; i <= NF; i++) if ($i ~ /^https?:.*\/debian\/?$/) {print $i; exit}}
       /^URIs:/ {for (i = 2; i <= NF; i++) if ($i ~ /^https?:.*\/debian\/?$/) {print $i; exit}}')
echo "base-image: debootstrap of bookworm"
debootstrap --variant=minbase bookworm "$root/tree" "${mirror:-http://deb.debian.org/debian}" > "$root/log" 2>&1 ||
  { tail -n 20 "$root/log" >&2; die 'debootstrap failed'; }
rm -f "$root"/tree/var/cache/apt/archives/*.deb
container=$(buildah from scratch)
buildah add -q "$container" "$root/tree" / >/dev/null
buildah commit -q "$container" "$image" >/dev/null
buildah rm "$container" >/dev/null
echo "base-image: $image"
