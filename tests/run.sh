#!/usr/bin/env bash
# Runs ctest on a build folder with the arguments that follow. Up to three end-to-end tests that fail are run once more, one at a time:
# they drive real processes against real timeouts, and a machine that stands still for a second fails them though nothing is wrong. What
# passed only alone is named at the end; everything else that fails, fails.
set -euo pipefail
build=$1
shift
status=0
ctest --test-dir "$build" --no-tests=error "$@" || status=$?
[ "$status" -ne 0 ] || exit 0
list=$build/Testing/Temporary/LastTestsFailed.log
[ -f "$list" ] || exit "$status"
failed=$(cut -d: -f2- "$list")
if [ "$(wc -l <<<"$failed")" -gt 3 ] || grep -qvE '^(e2e|cases|deploy)\.' <<<"$failed"; then exit "$status"; fi
echo "Again, one at a time:" $failed
ctest --test-dir "$build" --rerun-failed -j 1
echo "Failed beside others and passed alone:" $failed
