#!/usr/bin/env bash
# Packs what a machine with a GPU needs to check this build against the PyTorch that is installed there: stripped programs and unit
# tests, the Debian libraries that they use, libft_cuda.so, golden cases, a small model with rows, and bitsandbytes with its one CUDA
# library for comparisons, and the benchmark beside it. LibTorch, CUDA and NCCL stay behind: that machine's PyTorch brings them, of the version in cmake/wheels.lock.
#   deploy/gpu/bundle.sh BUILD GOLDEN OUT      makes OUT/bundle.tar.xz, OUT/day.sh and OUT/MANIFEST (commit, SHA-256 of each file)
set -euo pipefail
build=$(realpath "$1")
golden=$(realpath "$2")
mkdir -p "$3"
out=$(realpath "$3")
cd "$(dirname "$0")/../.."
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$stage"/{bin,lib,golden,site,small}

# Programs look for ../lib/libft_cuda.so beside them.
for program in ft-rank ft-golden ft-worker finetuned ftctl; do cp -L "$build/bin/$program" "$stage/bin/"; done
for room in model/ops model/run train/trainer train/comm; do
  cp -L "$build/worker/$room/worker_${room/\//_}_test" "$stage/bin/"
done
cp -L "$build/lib/libft_cuda.so" "$stage/lib/"

# Debian's libraries, but for those that every newer system has: symbols are only ever added to them.
for file in "$stage"/bin/* "$stage"/lib/libft_cuda.so; do ldd "$file" | awk '$2 == "=>" && $3 ~ /^\// {print $3}'; done |
  sort -u | { grep -v '/site-packages/' || true; } |
  { grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv|libstdc\+\+|libgcc_s|ld-linux-x86-64)\.so' || true; } |
  xargs -r -I{} cp -L {} "$stage/lib/"
strip "$stage"/bin/*
strip --strip-unneeded "$stage"/lib/*

# The cases that this version compares, and the list of those that it does not.
for case in nf4 qlora_step llama_mha llama_gqa_llama3rope llama_dynamic_ntk llama_attention_bias yi_gqa deepseek_coder_linear; do
  [ ! -e "$golden/$case" ] || cp -rL "$golden/$case" "$stage/golden/"
done
.deps/checks/bin/python3 -B tests/cases/make_models.py "$stage/made" --bin "$build/bin" --only bf16 > /dev/null
mv "$stage/made/bf16" "$stage/small/model"
rm -rf "$stage/made"
python3 - "$stage/small/rows.jsonl" <<'P'
import json, sys
with open(sys.argv[1], "w", encoding="utf-8") as rows:
    for i in range(200):
        rows.write(json.dumps({"instruction": f"What is {i} plus {i % 7}?", "output": f"It is {i + i % 7}."}) + "\n")
P
site=$(echo .deps/bench/lib/python3*/site-packages)
if [ -d "$site/bitsandbytes" ]; then
  cp -r "$site/bitsandbytes" "$site"/bitsandbytes-*.dist-info "$stage/site/"
  find "$stage/site" -name '*.so' ! -name '*_cuda130.so' ! -name '*_cpu.so' -delete
  find "$stage/site" -name __pycache__ -prune -exec rm -rf {} +
fi
# The benchmark, with the harness of the tests that starts its daemons, each where the other looks for it.
mkdir -p "$stage"/{bench/peers,tests/e2e}
for name in against memory models ours peer report gpu_cards gpu_bench peers/gpu_peer peers/qlora_step peers/random_model; do
  cp "bench/$name.py" "$stage/bench/$name.py"
done
cp tests/e2e/daemons.py "$stage/tests/e2e/"

{ git rev-parse HEAD; (cd "$stage" && find . -type f | sort | xargs sha256sum); } > "$out/MANIFEST"
sed -n 's/^torch==//p' cmake/wheels.lock > "$stage/torch-version"
tar -C "$stage" -cf - . | xz -T0 -6 > "$out/bundle.tar.xz"
cp deploy/gpu/day.sh "$out/day.sh"
echo "gpu-bundle: $(du -sm "$stage" | cut -f1) MiB, packed $(du -m "$out/bundle.tar.xz" | cut -f1) MiB, in $out"
