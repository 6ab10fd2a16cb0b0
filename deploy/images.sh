#!/usr/bin/env bash
# Builds finetuned-coordinator and finetuned-worker from the programs that `make images` installed into build/image.
#   deploy/images.sh [BASE]          default: debian:12-slim
# buildah when it is there (no engine, no root namespace of its own: chroot isolation), else docker.
set -euo pipefail
cd "$(dirname "$0")/.."
base=${1:-debian:12-slim}
version=$(build/image/bin/finetuned --version)
version=${version##* }

if command -v buildah >/dev/null; then
  build=(buildah build --layers --force-rm --isolation chroot --network host)
elif command -v docker >/dev/null; then
  build=(docker build)
else
  echo 'images: neither buildah nor docker is here: apt-get install buildah' >&2
  exit 1
fi
for name in coordinator worker; do
  echo "images: finetuned-$name:$version on $base"
  "${build[@]}" -q --build-arg "BASE=$base" --build-arg PROGRAMS=prebuilt -f "docker/$name.Dockerfile" \
    -t "finetuned-$name:$version" . >/dev/null
done
