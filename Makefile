# The first command makes .venv and installs what it needs; later ones reuse it.
#
#     make draw CAPTION="a red star above a blue circle"

PYTHON = python3
TORCH_INDEX =
CPU_INDEX = https://download.pytorch.org/whl/cpu
SYSTEM := $(shell uname -s)
NVIDIA := $(shell command -v nvidia-smi || ls -d /proc/driver/nvidia 2>/dev/null)
ARGS =
VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --disable-pip-version-check
ALONE := $(shell sed -n '/^peers-alone/,/^]/s/.*"\(.*==.*\)".*/\1/p' pyproject.toml)
TIMED := $(shell sed -n '/^peers-timed/,/^]/s/.*"\(.*==.*\)".*/\1/p' pyproject.toml)
TORCH := $(shell sed -n 's/.*"\(torch==[^"]*\)".*/\1/p' pyproject.toml)

# A caption may be any text: it is passed through the environment, so that neither make nor the
# shell interprets quotes, dollars and backticks in it.
override CAPTION := $(value CAPTION)
export CAPTION

.PHONY: help draw abilities test quick torture lint lab notebooks course from-scratch from-scratch-dalle2 from-scratch-mini bench-peers performance clean
.NOTPARALLEL:

help:
	@echo 'make draw CAPTION="a red star above a blue circle"'
	@echo '                    draw the caption, write a sheet of pictures, print its path'
	@echo '                    ARGS="--candidates 8 --seed 1" passes options on'
	@echo 'make abilities      draw a sheet with a row for each ability, and print its path'
	@echo 'make lab            open the notebooks in JupyterLab'
	@echo 'make notebooks      run all notebooks and save them with their outputs'
	@echo 'make test           run every test and every notebook'
	@echo 'make quick          check style and types, and run the quick tests, while you edit'
	@echo 'make torture        kill every command, and feed it nonsense and damaged files, for MINUTES=30'
	@echo 'make course         try the tests of all assignments on right and wrong solutions'
	@echo 'make from-scratch   train all four models again, then measure them'
	@echo 'make from-scratch-dalle2'
	@echo '                    train the second DALL·E on the CLIP of from-scratch, then measure it'
	@echo 'make from-scratch-mini'
	@echo '                    train DALL·E Mini for as long as the first, on its CLIP, then measure it'
	@echo 'make performance    time everything against its peers, and write the figures to docs/speed.md'
	@echo 'make clean          remove .venv and caches; runs/ stays'
	@echo
	@echo 'The first run installs $(TORCH) and the other packages of pyproject.toml into $(VENV).'
	@echo '  PYTHON=python3.12   another Python, 3.10 to 3.14'
	@echo '  TORCH_INDEX=URL     another build of torch. Without it, Linux without an NVIDIA driver'
	@echo '                      takes the small one of $(CPU_INDEX)'

# ---------------------------------------------------------------- commands

draw: caption $(VENV)/.core
	@$(BIN)/minidalle draw $(ARGS) -- "$$CAPTION"

abilities: $(VENV)/.core
	@$(BIN)/python data/draw_abilities.py $(ARGS)

.PHONY: caption
caption:  # before the install, which takes minutes
	@test -n "$$CAPTION" || { echo 'minidalle: say what to draw:' \
	  'make draw CAPTION="a red star above a blue circle"' >&2; exit 1; }

# If Chromium and its driver are installed, the tests also open a notebook in it.
BROWSER := $(if $(shell command -v chromedriver),$(VENV)/.browser)

# Slow tests start processes of their own, so they run one by one. Only these notebooks: assignments
# have gaps and are meant to fail. Each notebook runs from its first cell to its last in one of two
# workers, with a core each.
test: quick $(BROWSER)
	TQDM_DISABLE=1 $(BIN)/python -m pytest -m slow tests
	@if ls notebooks/*.ipynb >/dev/null 2>&1; then set -x; \
	  TQDM_DISABLE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --nbval-lax --nbval-current-env \
	    --nbval-cell-timeout=300 -p no:python -n 2 --dist loadscope notebooks/*.ipynb \
	    $(wildcard notebooks/more/*.ipynb notebooks/solutions/*.ipynb); \
	else echo 'minidalle: no notebooks to test'; fi

quick: lint
	TQDM_DISABLE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadscope -m 'not slow' tests

torture: MINUTES = 30
torture: $(VENV)/.test
	TQDM_DISABLE=1 OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m torture --minutes $(MINUTES) $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

lab: $(VENV)/.lab
	$(BIN)/jupyter-lab notebooks

notebooks: $(VENV)/.lab
	$(BIN)/python notebooks/run.py notebooks/*.ipynb notebooks/*/*.ipynb

course: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/minidalle course check $(ARGS)

# Minutes of training on two CPU cores, 20 in all with the steps between. CLIP and the transformer
# both need only the dVAE, so they train in parallel, on a core each.
DVAE_MINUTES = 3.5
MINUTES = 14
SCRATCH = --preset tiny --data scenes --out runs/scratch --overwrite

from-scratch: $(VENV)/.core
	$(BIN)/minidalle train bpe $(SCRATCH)
	$(BIN)/minidalle train dvae $(SCRATCH) --minutes $(DVAE_MINUTES)
	@echo 'minidalle: CLIP trains in parallel; its output goes to runs/scratch/clip.log'
	@$(BIN)/minidalle train clip $(SCRATCH) --minutes $(MINUTES) --threads 1 >runs/scratch/clip.log 2>&1 & clip=$$!; \
	trap 'kill $$clip' INT TERM; set -x; \
	$(BIN)/minidalle train dalle $(SCRATCH) --minutes $(MINUTES) --threads 1; dalle=$$?; \
	wait $$clip || { tail -n 1 runs/scratch/clip.log >&2; exit 1; }; exit $$dalle
	$(BIN)/minidalle evaluate --weights runs/scratch --split unseen

# The second DALL·E, an hour on two cores. The decoder needs most of it; everything else trains
# beside it, one after the other.
DECODER_MINUTES = 52
SECOND = --preset tiny --data scenes --out runs/scratch2 --overwrite --bf16 --threads 1

from-scratch-dalle2: $(VENV)/.core
	@test -f runs/scratch/clip.safetensors || { echo 'minidalle: there is no CLIP in runs/scratch;' \
	  'run `make from-scratch` first' >&2; exit 1; }
	mkdir -p runs/scratch2 && cp runs/scratch/bpe.json runs/scratch/clip.safetensors runs/scratch2
	@echo 'minidalle: the others train in parallel; their output goes to runs/scratch2/others.log'
	@{ $(BIN)/minidalle train prior $(SECOND) --minutes 8 && \
	  $(BIN)/minidalle train ar_prior $(SECOND) --minutes 8 && \
	  $(BIN)/minidalle train up64 $(SECOND) --minutes 16 && \
	  $(BIN)/minidalle train up128 $(SECOND) --minutes 16; } >runs/scratch2/others.log 2>&1 & others=$$!; \
	trap 'kill $$others' INT TERM; set -x; \
	$(BIN)/minidalle train decoder $(SECOND) --minutes $(DECODER_MINUTES); decoder=$$?; \
	wait $$others || { tail -n 1 runs/scratch2/others.log >&2; exit 1; }; exit $$decoder
	$(BIN)/minidalle evaluate --weights runs/scratch2 --captions 300 --candidates 8 \
	  --split "dalle2 decoder" --split "dalle2 chain"

# DALL·E Mini, as long as the first DALL·E: the VQGAN takes the dVAE's time, the encoder–decoder the
# transformer's, on one core as well.
MINI = --preset tiny --data scenes --out runs/scratch_mini --overwrite

from-scratch-mini: $(VENV)/.core
	@test -f runs/scratch/clip.safetensors || { echo 'minidalle: there is no CLIP in runs/scratch;' \
	  'run `make from-scratch` first' >&2; exit 1; }
	mkdir -p runs/scratch_mini && cp runs/scratch/bpe.json runs/scratch/clip.safetensors runs/scratch_mini
	$(BIN)/minidalle train vqgan $(MINI) --minutes $(DVAE_MINUTES)
	$(BIN)/minidalle train mini $(MINI) --minutes $(MINUTES) --threads 1
	$(BIN)/minidalle evaluate --weights runs/scratch_mini --split unseen

# The peers of `minidalle bench --peer`. LlamaGen is in no registry; this is the commit that was timed.
LLAMAGEN = https://github.com/FoundationVision/LlamaGen
STATE = ce98ec41803a74a90ce68c40ababa9eaeffeb4ec

bench-peers: $(VENV)/.peers

performance: $(VENV)/.peers  # one thread is least disturbed by other processes
	$(BIN)/minidalle bench all --peer --threads 1 --into docs/speed.md

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .hypothesis .ruff_cache .mypy_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# ---------------------------------------------------------------- installation
#
# A file in .venv, written last, marks a complete installation; a newer pyproject.toml
# invalidates it.

ASK = from urllib.request import urlopen; urlopen("$(CPU_INDEX)/torch/", timeout=4)

$(VENV)/.core: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' \
	  2>/dev/null || { echo 'minidalle: Python 3.10 to 3.14 is needed, and "$(PYTHON) --version"' \
	  "says: $$($(PYTHON) --version 2>&1); name another one with PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo 'minidalle: $(PYTHON) cannot' \
	  'make virtual environments; on Debian and Ubuntu: sudo apt install python3-venv' >&2; exit 1; }
	@echo 'minidalle: installing $(TORCH) and 6 more packages into $(VENV).'
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@index='$(TORCH_INDEX)'; \
	if test "$$index"; then echo "  torch from $$index"; \
	elif test $(SYSTEM) != Linux; then echo '  the usual torch, about 200 MB to download'; \
	elif test '$(NVIDIA)'; then echo '  the usual torch, with CUDA, several GB: there is an NVIDIA driver'; \
	elif timeout 5 $(PYTHON) -c '$(ASK)' 2>/dev/null; then index=$(CPU_INDEX); \
	  echo "  torch for the CPU, about 250 MB, from $$index: there is no NVIDIA driver"; \
	else echo '  the usual torch, which may bring CUDA, several GB: there is no NVIDIA driver,' \
	  'but $(CPU_INDEX) does not answer'; fi; \
	$(PIP) $(TORCH) $${index:+--index-url "$$index"} || { \
	  echo 'minidalle: $(TORCH) was not installed; if pip found no version: it is made for Linux' \
	  'with glibc 2.28 and for macOS 14 on Apple silicon, or newer' >&2; exit 1; }
	@$(PIP) -q -e .
	@touch $@

$(VENV)/.test: $(VENV)/.core
	@echo 'minidalle: installing what the tests need into $(VENV), about 90 MB.'
	@$(PIP) -q -e '.[test,peers,shards]'
	@$(PIP) -q --no-deps $(ALONE)
	@touch $@

$(VENV)/.peers: $(VENV)/.test
	@echo 'minidalle: installing the peers to be timed into $(VENV), about 10 MB.'
	@$(PIP) -q --no-deps $(TIMED)
	@rm -rf $(VENV)/peers && git clone -q --no-checkout --depth 1 --filter=blob:none --sparse $(LLAMAGEN) $(VENV)/peers/LlamaGen
	@cd $(VENV)/peers/LlamaGen && git sparse-checkout set autoregressive/models utils && \
	  git fetch -q --depth 1 --filter=blob:none origin $(STATE) && git checkout -q $(STATE)
	@touch $@

$(VENV)/.lab: $(VENV)/.core
	@echo 'minidalle: installing JupyterLab into $(VENV), about 50 MB.'
	@$(PIP) -q -e '.[lab]'
	@touch $@

$(VENV)/.browser: $(VENV)/.lab
	@echo 'minidalle: installing Selenium, which drives Chromium, into $(VENV), about 20 MB.'
	@$(PIP) -q -e '.[browser]'
	@touch $@
