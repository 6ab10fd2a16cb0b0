#!/usr/bin/env bash
# Runs the tests of a sanitizer's build. What any process reports fails the run, also a daemon whose end no test looks at,
# and is printed at the end.
#   tests/sanitizers/run.sh PRESET JOBS LABELS [REGEX]     REGEX is of names of tests, or of their program's path in the build folder
set -euo pipefail
cd "$(dirname "$0")/../.."
preset=$1 jobs=$2 labels=$3 regex=${4:-.}
reports=$PWD/build/$preset/reports
rm -rf "$reports"
mkdir -p "$reports"

export ASAN_OPTIONS=log_path=$reports/asan:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=log_path=$reports/ubsan:print_stacktrace=1
export TSAN_OPTIONS=log_path=$reports/tsan:halt_on_error=1:suppressions=$PWD/tests/sanitizers/tsan.supp
status=0
# Programs with LibTorch are not built here; what runs one without being discovered in it has a label that says so.
tests=(ctest --test-dir "build/$preset" -L "$labels" -LE '^torch$')
[ "$regex" = . ] || regex=$("${tests[@]}" --show-only=json-v1 | python3 -B tests/sanitizers/select_tests.py "build/$preset" "$regex")
"${tests[@]}" -R "$regex" -j "$jobs" --no-tests=error || status=$?

for report in "$reports"/*; do
  [ -e "$report" ] || break
  echo "== $report"
  head -n 60 "$report"
  status=1
done
[ "$status" = 0 ] && echo "$preset: clean"
exit "$status"
