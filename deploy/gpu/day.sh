#!/usr/bin/env bash
# The checks that only a machine with a GPU can make (docs/gpu.md), with the PyTorch that is installed there.
#   bash day.sh FOLDER [PART]     FOLDER holds bundle.tar.xz (`make gpu-bundle`); PART 1, 2, 3 or all
# Prints PASS or FAIL, name, seconds and the last line for each check, each with a time limit of its own, then a count. Whole logs lie
# in $OUT (default FOLDER/logs). Ends with 0 when all passed. PYTHON names the Python that has PyTorch (default python3).
set -uo pipefail
folder=$(cd "$1" && pwd)
part=${2:-all}
out=${OUT:-$folder/logs}
root=$folder/root
python=${PYTHON:-python3}
mkdir -p "$root" "$out"
[ -d "$root/bin" ] || "$python" -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' \
  "$folder/bundle.tar.xz" "$root" || { echo "FAIL unpack 0s $folder/bundle.tar.xz cannot be unpacked"; exit 1; }

site=$("$python" -c 'import os, torch; print(os.path.dirname(os.path.dirname(torch.__file__)))' 2> "$out/torch.log")
libraries=$root/lib
if [ -n "$site" ]; then
  for found in "$site/torch/lib" "$site"/nvidia/*/lib; do libraries=$libraries:$found; done
fi
for found in /usr/local/nvidia/lib64 /usr/local/nvidia/lib; do [ ! -d "$found" ] || libraries=$libraries:$found; done
# The benchmark's peer is that machine's own Python: it takes none of the bundle's libraries.
printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "${LD_LIBRARY_PATH:-}" "$(command -v "$python")" > "$out/peer-python"
chmod +x "$out/peer-python"
export LD_LIBRARY_PATH=$libraries PATH=$root/bin:$PATH CUBLAS_WORKSPACE_CONFIG=:4096:8 HOME=$root PYTHONPATH=$root/site

passed=0 failed=0
check() {  # check NAME SECONDS COMMAND...
  local name=$1 limit=$2 begin=$SECONDS status
  shift 2
  timeout -k 5 "$limit" "$@" > "$out/$name.log" 2>&1 < /dev/null
  status=$?
  if [ "$status" -eq 0 ]; then
    passed=$((passed + 1))
    echo "PASS $name $((SECONDS - begin))s $(tail -n 1 "$out/$name.log" | cut -c1-150)"
  else
    failed=$((failed + 1))
    [ "$status" -ne 124 ] || echo "no end after $limit s" >> "$out/$name.log"
    echo "FAIL $name $((SECONDS - begin))s status $status: $(grep -v '^$' "$out/$name.log" | tail -n 1 | cut -c1-200)"
  fi
}
figures() { sed 's/^/  /' "$out/$1.log"; }  # The whole log of a check that measures.
wants() { [ "$part" = all ] || [ "$part" = "$1" ]; }

# All that follows is void with another LibTorch than the one that was built with.
is_pinned() {
  "$python" -c 'import sys, torch
want = open(sys.argv[1]).read().strip()
have = torch.__version__.split("+")[0]
print(torch.__version__, torch.version.git_version[:12], "CUDA", torch.version.cuda, *(
    [torch.cuda.get_device_name(0)] if torch.cuda.is_available() else ["no GPU"]))
sys.exit(f"this build is for PyTorch {want}, here is {have}" if have != want else 0)' "$root/torch-version"
}
links() {
  ! ldd "$root"/bin/* "$root"/lib/libft_cuda.so | grep 'not found' && echo 'every library is found'
}
twice() {  # twice DEVICE: the same job twice, equal ledgers.
  local run
  for run in a b; do
    ftctl run --model "$root/small/model" --data "$root/small/rows.jsonl" --no-plan --name "$1-$run" --set train.max_steps=20 \
      --set "resources.device=$1" || return 1
  done
  ftctl diff "$1-a" "$1-b" && ftctl down
}
throughput() {  # throughput SECONDS NAME ARGUMENTS...: ours beside PEFT + bitsandbytes, with rows as JSON too.
  local limit=$1 name=$2
  shift 2
  "$python" -B "$root/bench/gpu_bench.py" "$root/bin" --python "$out/peer-python" --models "$root/models" --seconds "$limit" \
    --json "$out/$name.json" "$@"
}
export -f is_pinned links twice throughput
export python root out

if wants 1; then
  check image 60 bash -c is_pinned
  check links 20 bash -c links
  check versions 30 ft-rank version
  check golden_cpu 120 ft-golden compare "$root/golden" --dtype fp32
  check gpu_check 120 ft-golden gpu-check
  check golden_gpu 120 ft-golden compare "$root/golden" --dtype fp32 --device gpu
  check golden_gpu_bf16 120 ft-golden compare "$root/golden" --dtype bf16 --device gpu
fi
if wants 2; then
  for test in worker_model_ops_test worker_model_run_test worker_train_trainer_test worker_train_comm_test; do
    check "$test" 120 "$test" --gtest_brief=1
  done
  for test in worker_model_run_test worker_train_trainer_test; do
    check "${test}_gpu" 180 env FT_TEST_DEVICE=gpu FT_CUDA_LIBRARY="$root/lib/libft_cuda.so" "$test" --gtest_brief=1
  done
  check job_twice 180 bash -c 'twice cpu'
  check job_twice_gpu 180 bash -c 'twice gpu'
fi
if wants 3; then  # Less than ten minutes together; the floors come first.
  check gpu_bench 330 bash -c 'throughput 315 gpu_bench --only mb4_recomputed'
  figures gpu_bench
  check gpu_bench_8_layers 240 bash -c 'throughput 225 gpu_bench_8_layers --layers 8'
  figures gpu_bench_8_layers
fi
echo "passed $passed, failed $failed"
[ "$failed" -eq 0 ]
