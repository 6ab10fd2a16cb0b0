#!/usr/bin/env bash
# Copies the libraries that a program takes from the pinned wheels beside it, so that the installed folder needs neither
# the clone nor Python.   deploy/install_libraries.sh PROGRAM FOLDER
set -euo pipefail
program=$1
folder=$2
mkdir -p "$folder"
ldd "$program" | awk '$2 == "=>" && $3 ~ /\/site-packages\// {print $3}' | while read -r library; do
  cp -Lu "$library" "$folder/"
done
if ldd "$program" | grep -q 'not found'; then
  echo "install: $program does not find all its libraries:" >&2
  ldd "$program" | grep 'not found' >&2
  exit 1
fi
