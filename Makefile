# The front door. `make help` lists what can be asked for.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup configure build test unit golden demo models-page gpu-check gpu-bench gpu-bundle check-gpu-bundle bench soak asan tsan recipes-check fuzz fuzz-smoke fmt lint install \
  images manifests check-deploy clean bare-root
PROGRAMS := ftctl finetuned ft-worker ft-rank
GPU_TESTS := worker_model_ops_test worker_model_run_test worker_train_trainer_test worker_train_comm_test

PRESET ?= dev
BUILD := build/$(PRESET)
JOBS ?= $(shell nproc)
DIR ?= $(firstword $(wildcard ../shared/golden) tests/golden)
CASES ?= *
DTYPE ?= fp32
DEVICE ?= cpu
PRODUCTS ?= own
NOT_BUILT ?= tests/golden/not_built.txt
PREFIX ?= /usr/local
PAIRS ?= 5
FUZZ_SECONDS ?= 600
FUZZ_JOBS ?= 2
# CPU=avx2: what is run is told of a CPU with AVX2 and nothing later, whatever this one has (tests/cpu/avx2_only.cc).
CPU :=
ifneq ($(filter-out avx2,$(CPU)),)
  $(error CPU=$(CPU): programs can be told of avx2 only)
endif
AS_CPU := $(if $(CPU),env LD_PRELOAD=$(CURDIR)/$(BUILD)/lib/libft_avx2_only.so)
CPU_TARGET := $(if $(CPU),ft_avx2_only)

# One build or test run at a time on a machine, whatever the worktree.
LOCK := $(shell realpath $$(git rev-parse --git-common-dir 2>/dev/null || echo .))/finetuned-build.lock
LOCKED := flock $(LOCK)

export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
export CCACHE_MAXSIZE := 15G
export CCACHE_SLOPPINESS := pch_defines,time_macros,include_file_mtime,include_file_ctime
export CTEST_OUTPUT_ON_FAILURE := 1

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: ## Install Debian packages and pinned wheels into .deps/ (quick when nothing is missing).
	@cmake/setup.sh

configure: setup
	@[ -f $(BUILD)/build.ninja ] || $(LOCKED) cmake --preset $(PRESET) >/dev/null

build: configure ## Build all programs, libraries and tests.
	@$(LOCKED) cmake --build $(BUILD) -j $(JOBS) $(if $(TARGET),--target $(TARGET)) $(if $(KEEP_GOING),-- -k 0)

unit: build ## Run the unit tests (ONLY=regex selects; CPU=avx2: as on a CPU with AVX2 only).
	@$(LOCKED) $(AS_CPU) ctest --test-dir $(BUILD) --no-tests=error -L unit -j $(JOBS) $(if $(ONLY),-R '$(ONLY)')

test: build ## Set up, build and run every test that needs neither GPU nor hours.
	@cmake/setup.sh --python-checks
	@$(LOCKED) tests/run.sh $(BUILD) -LE soak -j $(JOBS) $(if $(ONLY),-R '$(ONLY)')

golden: ## Compare with reference results: make golden DIR=folder CASES='glob glob,glob' DTYPE=fp32|bf16|fp16 DEVICE=cpu|gpu|sim PRODUCTS=own|emulated CPU=avx2.
	@$(MAKE) --no-print-directory build TARGET='ft-golden $(if $(filter sim,$(DEVICE)),ft_sim) $(CPU_TARGET)'
	@$(if $(filter sim,$(DEVICE)),FT_CUDA_LIBRARY=$(BUILD)/lib/libft_sim.so) $(AS_CPU) $(BUILD)/bin/ft-golden compare '$(DIR)' --cases '$(CASES)' \
	  --dtype '$(DTYPE)' --device $(if $(filter sim,$(DEVICE)),gpu,$(DEVICE)) --bf16-products '$(PRODUCTS)' --not-built '$(NOT_BUILT)'

demo: ## Set up, build, fine-tune a real model, talk to it.
	@$(MAKE) --no-print-directory build TARGET='$(PROGRAMS)'
	@deploy/demo/demo.sh $(BUILD)/bin

gpu-check: ## Compare the CUDA kernels with the CPU's on this machine's GPU (docs/gpu.md).
	@$(MAKE) --no-print-directory build TARGET='ft-golden ft_cuda'
	@$(BUILD)/bin/ft-golden gpu-check

gpu-bench: ## Measure a 7B on this machine's GPU beside PEFT + bitsandbytes (LAYERS=n, ONLY=regex of settings; DEVICE=sim: simulated, one layer).
	@cmake/setup.sh $(if $(filter sim,$(DEVICE)),--python-checks,--bench)
	@$(MAKE) --no-print-directory build TARGET='$(PROGRAMS) ft-golden $(if $(filter sim,$(DEVICE)),ft_sim ft-rank-simulated fake_nvml,ft_cuda)'
	@$(LOCKED) python3 -B bench/gpu_bench.py $(BUILD)/bin $(if $(LAYERS),--layers $(LAYERS)) $(if $(ONLY),--only '$(ONLY)') \
	  $(if $(filter sim,$(DEVICE)),--device sim --python .deps/checks/bin/python3)

gpu-bundle: ## Pack what a machine with a GPU needs for its checks into build/gpu (docs/gpu.md).
	@cmake/setup.sh --python-checks
	@cmake/setup.sh --bench
	@$(MAKE) --no-print-directory build TARGET='$(PROGRAMS) ft-golden ft_cuda $(GPU_TESTS)'
	@deploy/gpu/bundle.sh $(BUILD) '$(DIR)' build/gpu

check-gpu-bundle: gpu-bundle ## Run the bundle in a newer Debian with the pinned PyTorch (network, root rights, debootstrap).
	@deploy/gpu/newer_root.sh build/gpu

bench: ## Measure beside the Python peers, in one run (PAIRS=1 is quick; ONLY=regex of scenarios; CPU=avx2; AGAINST=bin/ of another build, then PEERS=no).
	@cmake/setup.sh --bench
	@$(if $(filter no,$(PEERS)),,cmake/setup.sh --llama && cmake/setup.sh --deepspeed)
	@$(MAKE) --no-print-directory build TARGET='$(PROGRAMS) bench_ops_bench bench_optim_bench control_bench tokenise_texts $(CPU_TARGET)'
	@$(LOCKED) $(AS_CPU) python3 -B bench/bench.py $(BUILD)/bin --pairs $(PAIRS) $(if $(ONLY),--only '$(ONLY)') $(if $(AGAINST),--against '$(AGAINST)') \
	  $(if $(filter no,$(PEERS)),--no-peers)

soak: build ## The long forms of the tests: ten kills, whole data sets (hours).
	@cmake/setup.sh --python-checks
	@$(LOCKED) ctest --test-dir $(BUILD) --no-tests=error -L soak -j 1 $(if $(ONLY),-R '$(ONLY)')

models-page: ## Write the tables of docs/models.md that follow from code.
	@$(MAKE) --no-print-directory build TARGET=ftctl
	@FT_BIN=$(BUILD)/bin python3 -B tests/e2e/models_page.py --write

recipes-check: ## Train each of the 296 recipe names for one step, on a small model and data of their real layout (ONLY=regex).
	@cmake/setup.sh --python-checks
	@$(MAKE) --no-print-directory build TARGET='$(PROGRAMS)'
	@FT_BIN=$(BUILD)/bin $(LOCKED) .deps/checks/bin/python3 -B tests/recipes/recipes_check.py $(if $(ONLY),--only '$(ONLY)')

asan: ## Programs and libraries without LibTorch under the address and undefined-behaviour sanitizers (ONLY=regex of tests or folders).
	@$(MAKE) --no-print-directory build PRESET=asan TARGET=torch_free
	@$(LOCKED) tests/sanitizers/run.sh asan $(JOBS) '^unit$$|rankless' $(if $(ONLY),'$(ONLY)')

tsan: ## Libraries without gRPC and LibTorch under the thread sanitizer (ONLY=regex of tests or folders).
	@$(MAKE) --no-print-directory build PRESET=tsan TARGET=grpc_free
	@$(LOCKED) tests/sanitizers/run.sh tsan $(JOBS) '^unit$$' $(if $(ONLY),'$(ONLY)')

fuzz: ## Ten minutes of libFuzzer a parser of outside bytes (FUZZ_SECONDS=n, ONLY=regex, FUZZ_JOBS=1|2 at a time).
	@[ -n "$$(clang++ -print-file-name=libclang_rt.fuzzer-$$(uname -m).a 2>/dev/null | grep /)" ] || \
	  { echo 'fuzz: clang++ or its libFuzzer is missing: apt-get install clang libclang-rt-14-dev'; exit 1; }
	@$(MAKE) --no-print-directory build PRESET=fuzz TARGET=fuzz
	@tests/fuzz/run.sh $(FUZZ_SECONDS) '$(or $(ONLY),.)' $(FUZZ_JOBS)

fuzz-smoke: ## The same, 30 seconds each.
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=30

bare-root: ## Prove `make demo` in a fresh Debian 12 root (needs root rights and debootstrap).
	@deploy/demo/bare_root.sh

install: ## Install the programs and the libraries they bring into PREFIX; the folder may be moved afterwards.
	@$(MAKE) --no-print-directory build TARGET='$(PROGRAMS) ft_cuda'
	@cmake --install $(BUILD) --prefix '$(PREFIX)' >/dev/null
	@deploy/install_libraries.sh $(BUILD)/bin/ft-rank '$(PREFIX)/lib/finetuned'
	@deploy/install_libraries.sh $(BUILD)/lib/libft_cuda.so '$(PREFIX)/lib/finetuned'
	@echo "installed into $(PREFIX): programs in bin/, libraries of ft-rank in lib/finetuned/"

images: ## Build both container images with buildah or docker (BASE=image to start from).
	@rm -rf build/image
	@$(MAKE) --no-print-directory install PREFIX='$(CURDIR)/build/image'
	@deploy/images.sh $(BASE)

manifests: ## Render the Kubernetes manifests into build/manifests.yaml.
	@cmake/setup.sh --deploy
	@mkdir -p build
	@.deps/deploy/bin/python -B deploy/kubernetes/render.py > build/manifests.yaml
	@echo 'wrote build/manifests.yaml'

check-deploy: manifests ## Check the manifests; build and start both images on a base of its own (root rights, buildah, debootstrap).
	@.deps/deploy/bin/python -B tests/deploy/check_manifests.py build/manifests.yaml
	@deploy/base_image.sh
	@$(MAKE) --no-print-directory images BASE=localhost/debian:12-slim
	@.deps/deploy/bin/python -B tests/deploy/check_images.py

fmt: ## Format all C++ with clang-format 14.
	@python3 -B tests/tidy/clang_format.py

lint: ## Layout, style, include rules and format (tests/tidy), without building; each is also a test.
	@for check in $$(python3 -B tests/tidy/tidy.py --list | awk '{print $$1}' | grep -v '^links$$'); do \
	  python3 -B tests/tidy/tidy.py $$check || failed=1; done; [ -z "$${failed:-}" ]

clean: ## Remove build results (not .deps/).
	rm -rf build
