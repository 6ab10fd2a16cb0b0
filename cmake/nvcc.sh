#!/bin/sh
# nvcc.sh REPORT COMMAND...: compiles device code; what ptxas says of each kernel (registers, spills, shared memory) goes to REPORT, which
# tests/checks/kernel_resources_test.py reads, and all else to standard error.
report=$1
shift
if ! "$@" -Xptxas -v 2>"$report"; then
  cat "$report" >&2
  exit 1
fi
grep -v -e '^ptxas info' -e '^    [0-9]' "$report" >&2
exit 0
