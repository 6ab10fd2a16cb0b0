#!/usr/bin/env bash
# Fuzzes every parser, or those whose name matches, for so many seconds each, from the seeds, the saved files and what
# earlier runs found worth keeping (build/fuzz/grown).
#   tests/fuzz/run.sh SECONDS [REGEX [JOBS]]
# An input that crashes, hangs or takes too much memory is left in build/fuzz/found/<parser>/; CONTRIBUTING.md says what
# to do with it.
set -euo pipefail
cd "$(dirname "$0")/../.."
export SECONDS_EACH=$1
regex=${2:-.}
jobs=${3:-2}
export PROGRAM=build/fuzz/bin/fuzz

# Every input is written to a file: in memory, where the machine has such a folder.
if [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi
# A find kills the program, and its folder of files stays behind.
trap 'rm -rf "${TMPDIR:-/tmp}"/ft-fuzz-$$-*' EXIT
export FOLDERS="${TMPDIR:-/tmp}/ft-fuzz-$$"

fuzz_one() {  # fuzz_one PARSER
  local name=$1 grown=build/fuzz/grown/$1 found=build/fuzz/found/$1
  local corpora=("$grown" "build/fuzz/tests/fuzz/seeds/$name")
  if [ -d "tests/fuzz/corpus/$name" ]; then corpora+=("tests/fuzz/corpus/$name"); fi
  mkdir -p "$grown" "$found" "$FOLDERS-$name"
  if TMPDIR=$FOLDERS-$name FT_FUZZ_PARSER=$name "$PROGRAM" -max_total_time="$SECONDS_EACH" -max_len=65536 -timeout=10 -print_funcs=0 \
    -rss_limit_mb=2048 -malloc_limit_mb=512 -artifact_prefix="$found/" "${corpora[@]}" > "$found/log" 2>&1; then
    echo "fuzz: $name: $(tail -n 1 "$found/log")"
  else
    echo "fuzz: $name FAILED: $(grep -m 1 -E 'ERROR:|runtime error:|SUMMARY:' "$found/log" || tail -n 1 "$found/log")"
    echo "fuzz: $name FAILED: the input and the log are in $found/"
    return 1
  fi
}
export -f fuzz_one
names=$("$PROGRAM" 2>/dev/null || true)  # Without the name of a parser it prints them all, and fails.
chosen=$(grep -E "$regex" <<< "$names") || { echo "fuzz: no parser matches $regex; there are:" $names; exit 2; }
xargs -P "$jobs" -I{} bash -c 'fuzz_one {}' <<< "$chosen"
