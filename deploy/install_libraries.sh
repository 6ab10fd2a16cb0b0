#!/usr/bin/env bash
# Copies the libraries that a program or library takes from the pinned wheels beside it, so that the installed folder needs
# neither the clone nor Python.   deploy/install_libraries.sh PROGRAM FOLDER
set -euo pipefail
program=$1
folder=$2
# What libraries of the wheels open by name from their own folder when they are first used: cuDNN its parts, NVRTC its headers.
opened=('libcudnn_*.so.*' 'libnvrtc-builtins.so.*')

mkdir -p "$folder"
linked=$(ldd "$program" | awk '$2 == "=>" && $3 ~ /\/site-packages\// {print $3}')
for library in $linked; do
  cp -Lu "$library" "$folder/"
done
for library_folder in $(for library in $linked; do dirname "$(realpath "$library")"; done | sort -u); do
  for pattern in "${opened[@]}"; do
    find "$library_folder" -maxdepth 1 -name "$pattern" ! -name '*.alt.*' -exec cp -Lu {} "$folder/" \;
  done
done
if ldd "$program" | grep 'not found' > /dev/null; then  # Not grep -q, which may end ldd by a signal: then nothing would be found.
  echo "install: $program does not find all its libraries:" >&2
  ldd "$program" | grep 'not found' >&2
  exit 1
fi
