# The two commands: `make repro` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
LIGHT := .venv-light
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export NO_ALBUMENTATIONS_UPDATE := 1
export DVC_NO_ANALYTICS := 1

.PHONY: help env colorize wheel repro accept recipe tune check test benchmark doctor lint pull clean-cache clean-experiments constraints

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

# An update leaves out pip's lines on the hundreds of packages that are there already. A first installation has no pipe,
# since pip draws its progress bars on a terminal only.
PIP_INSTALL = -u -m pip install --constraint .constraints.txt
NEW_ONLY = $(if $(wildcard $@),| sed '/^Requirement already satisfied/d')
PIPEFAIL = $(if $(wildcard $@),set -o pipefail;)
%/installed: SHELL := bash

env: $(VENV)/installed  ## make the environment in .venv

$(VENV)/installed: pyproject.toml .constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed, $(PYTHON) is older; try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo $(if $(wildcard $@),"Updating $(VENV): pyproject.toml or .constraints.txt has changed.", \
		"Installing PyTorch, DVC and all else into $(VENV): about 7 GB on the disk, some minutes; later runs start at once.")
	$(PYTHON) -m venv $(VENV)
	$(PIPEFAIL) $(VENV)/bin/python $(PIP_INSTALL) --editable '.[dev]' $(NEW_ONLY)
	@touch $@

colorize: $(LIGHT)/installed  ## the command colorize and its page alone, base model included: no torch, no DVC
	@echo "Next: $(LIGHT)/bin/colorize PHOTO, or $(LIGHT)/bin/colorize serve"

$(LIGHT)/installed: pyproject.toml stages/export/wheel.py .constraints.txt data/base/colorizer.onnx.dvc $(shell find stages/ungray -name '*.py')
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed, $(PYTHON) is older; try: make colorize PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(LIGHT)
	@rm -rf build
	$(PIPEFAIL) $(LIGHT)/bin/python $(PIP_INSTALL) '.[page,film]' $(NEW_ONLY)
	@touch $@

wheel: $(LIGHT)/installed  ## build dist/ungray-*.whl, the base model inside
	@rm -rf build
	$(LIGHT)/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist

# The base model, which training starts from; all else is made here.
data/base/colorizer.safetensors data/base/colorizer.onnx: | $(VENV)/installed
	dvc pull $@.dvc

# The first time on a machine every stage really runs, even those whose results came with the clone; after that only
# what has changed.
repro: $(VENV)/installed data/base/colorizer.safetensors data/base/colorizer.onnx  ## run the whole workflow as params.yaml says; PRESET=quick|good|best, FROM=nothing
	@python -m stages.params
	$(if $(PRESET)$(FROM),@python -m stages.presets $(or $(PRESET),good) $(if $(FROM),--from $(FROM)) $(SET),dvc repro) \
		$(if $(wildcard .cache/reproduced),,--force)
	@mkdir -p .cache && touch .cache/reproduced
	@python -m stages.export verdict
	@git diff --quiet && echo "Nothing that Git tracks has changed: there is nothing to add or commit." || \
		{ echo "Changed, for you to commit or to take back with \`git checkout\`:"; git --no-pager diff --stat; }
	@echo "Next: open reports/report.html, read data/models/model_card.md, edit params.yaml, run it again."

accept: $(VENV)/installed  ## after a change of code: stages that give the same bytes on a tiny run need not run again
	@python -m stages.accept

recipe: $(VENV)/installed  ## run a recipe, NAME=unet SET='train.minutes=10 ...'; without NAME list them
	@python -m stages.recipes $(NAME) $(SET)

# A test of each part that needs no training of minutes, no DVC, no server and no browser.
QUICK := test_params.py test_command.py test_workflow.py storage recipes pipeline/test_dvc_yaml.py pipeline/test_bad_input.py \
	scrape/test_urls.py scrape/test_manifest.py filter/test_checks.py prepare/test_given_split.py train/test_losses.py \
	evaluate/test_bootstrap.py tune/test_space.py tune/test_apply.py \
	ungray/imaging/test_color.py ungray/imaging/test_structure.py ungray/imaging/test_upsampling.py \
	ungray/networks/test_networks.py ungray/system/test_files.py ungray/cli/test_where.py ungray/test_arguments.py

check: $(VENV)/installed lint  ## style, types and the quick tests, in two minutes
	python -m pytest -q -n 2 --dist loadfile -m 'not pipeline and not browser and not benchmark' $(addprefix tests/,$(QUICK))

test: $(VENV)/installed lint  ## run every check and test
	python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

benchmark: $(VENV)/installed  ## time the stages, colorize and its page; PHOTOS=folder takes real photos too
	python tests/benchmarks/cost.py $(if $(PHOTOS),--photos $(PHOTOS))
	python tests/benchmarks/test_judging.py 1000
	python tests/benchmarks/training.py $(if $(PHOTOS),--photos $(PHOTOS))
	python -m tests.benchmarks.serve --model data/models/colorizer.safetensors
	python tests/benchmarks/colorize.py

doctor: $(VENV)/installed  ## what this machine can do, how full the caches are, what a training would cost
	@python -m stages.doctor $(ARGS)

tune: $(VENV)/installed  ## search good params for training; WORKERS=2 does two trials at a time
	python -m stages.tune $(if $(WORKERS),--workers $(WORKERS))

lint: $(VENV)/installed  ## check style and types only
	ruff check .
	ruff format --check --quiet . || { echo "run: ruff format ."; exit 1; }
	mypy

pull: $(VENV)/installed  ## fetch the shipped data and models
	dvc pull

clean-cache:  ## empty the working cache (.cache): costs time, nothing else
	rm -rf .cache

clean-experiments: $(VENV)/installed  ## remove what killed experiments left in .dvc/tmp
	@python -m stages.recipes.clean

constraints: $(VENV)/installed  ## write .constraints.txt anew from what is installed
	python -m pip freeze --exclude-editable > .constraints.txt
