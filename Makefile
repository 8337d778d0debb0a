# Each target is one line that a person could type without make, in an environment that has this
# project installed (`pip install .[cpu]`). `make` builds that environment by itself.

PYTHON ?= python3
VENV ?= .venv
# cpu or gpu: which TensorFlow to install
TF ?= cpu
# v1, v2 or baseline
NET ?= v1
# where `make preprocess` writes. The ini files read data/: for another folder see `net_lung config`
OUT ?= data
# where `make evaluate` writes
EVALUATION ?= evaluation
# what `make reproduce` runs on, with which share of the paper's iterations, and where
COHORT ?= nsclc_radiomics
SCALE ?= 1
STUDY ?= reproduce-$(COHORT)-$(SCALE)
# further options of the command, e.g. ARGS='--roi gtv.*' or ARGS=--dry-run
ARGS ?=

# folders of predictions, of one or several models: [NAME[@ITERATION]=]FOLDER ...
PREDICTIONS ?= models/$(INI)/inference
# of `make postprocess`, e.g. STEPS='components:0.5 fill_holes'
STEPS ?=

INI_v1 = densehighres3dnet_v1
INI_v2 = densehighres3dnet_v2
INI_baseline = highres3dnet_matched
INI = $(or $(INI_$(NET)),$(error NET=$(NET) is not one of v1, v2, baseline))

COMMA = ,
BIN = $(VENV)/bin
NET_LUNG = $(BIN)/net_lung
READY = $(VENV)/.ready-$(TF)
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help install demo download check segment reproduce preprocess train inference restore \
  evaluate select ensemble postprocess report bench test test-all test-long coverage test-matrix lint docs clean

help:
	@sed -n 's/^## //p' Makefile

## make demo                         synthetic patients through the whole path, in minutes
## make test                         lint and tests, about 7 minutes
## make test-all                     lint, documentation, also the tests that rarely break
## make test-long                    the tutorial, the whole study on phantoms, many kills: an hour
## make coverage                     how much of the code the tests of make test run
## make test-matrix                  plugins and compatibility on every Python and TensorFlow here
## make docs                         the documentation as HTML, in docs/_build/html
## make download DICOM=DIR           NSCLC-Radiomics from the NCI's commons; asks first
## make check DICOM=DIR              a verdict on every patient, a contact sheet; in check/
## make preprocess DICOM=DIR         CT + RTSTRUCT of a folder of patients to NIfTI in data/
## make train NET=v1                 the paper's two rounds; run it again to resume
## make inference NET=v1             probabilities of the test patients
## make restore NET=v1               masks on the CTs' own grids, and Dice3D
## make evaluate NET=v1              the paper's tables, per slice and per patient, into evaluation/;
##                                   several models: PREDICTIONS='DIR DIR'
## make select                       each network's best checkpoint by Dice3D on validation
## make ensemble PREDICTIONS='DIR DIR'         the mean of models, into models/ensemble/inference
## make postprocess STEPS='STEP ...'           alter masks; the effect of each step on validation
## make report                       one HTML file that shows evaluation/
## make segment DICOM=DIR MODEL=DIR OUT=DIR    a new patient to DICOM SEG and RTSTRUCT; the mean of
##                                   several models: MODEL=DIR,DIR
## make reproduce                    the paper's study, from the download to the report; run it again
##                                   to resume. Minutes: make reproduce COHORT=phantom SCALE=0.001
## make bench DICOM=DIR              networks, sampler, inference, the measures of evaluate, and
##                                   preprocess on one patient's files, beside the programs people use

install: $(READY)

$(READY): setup.cfg setup.py niftynet_ext/hook.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -q --no-compile -e '.[$(TF),test]'
	touch $@

NEED_DICOM = $(if $(DICOM),,$(error say which folder: make $@ DICOM=<folder of the patients>))

demo: $(READY)
	$(NET_LUNG) demo --out demo $(ARGS)

download: $(READY)
	$(NEED_DICOM)
	$(NET_LUNG) download --out '$(DICOM)' $(ARGS)

check: $(READY)
	$(NEED_DICOM)
	$(NET_LUNG) check --dicom '$(DICOM)' --out check $(ARGS)

preprocess: $(READY)
	$(NEED_DICOM)
	$(NET_LUNG) preprocess --dicom '$(DICOM)' --out '$(OUT)' $(ARGS)

train: $(READY)
	$(NET_LUNG) train -c config_ini/$(INI).ini $(ARGS)

inference: $(READY)
	$(BIN)/net_segment inference -c config_ini/$(INI).ini $(ARGS)

restore: $(READY)
	$(NET_LUNG) restore --data '$(OUT)' --predictions models/$(INI)/inference --out models/$(INI)/masks $(ARGS)
	$(NET_LUNG) picture --data '$(OUT)' --masks models/$(INI)/masks --out models/$(INI)/picture.png

evaluate: $(READY)
	$(NET_LUNG) evaluate --references '$(OUT)' --predictions $(PREDICTIONS) --out '$(EVALUATION)' $(ARGS)

select: $(READY)
	$(NET_LUNG) select --references '$(OUT)' -c $(foreach net,v1 v2 baseline,config_ini/$(INI_$(net)).ini) --out models/selected.json $(ARGS)

ensemble: $(READY)
	$(if $(filter file,$(origin PREDICTIONS)),$(error say which models: make ensemble PREDICTIONS='<folder of predictions> <folder> ...'))
	$(NET_LUNG) ensemble --predictions $(PREDICTIONS) --out models/ensemble/inference $(ARGS)

postprocess: $(READY)
	$(NET_LUNG) postprocess --references '$(OUT)' --predictions $(PREDICTIONS) --steps '$(STEPS)' --out models/$(INI)/postprocessed $(ARGS)

report: $(READY)
	$(NET_LUNG) report --evaluation '$(EVALUATION)' $(ARGS)

segment: $(READY)
	$(if $(and $(DICOM),$(MODEL),$(filter command,$(origin OUT))),,$(error say make segment DICOM=<folder> MODEL=<model_dir>[,<model_dir>...] OUT=<folder>))
	$(NET_LUNG) segment --dicom '$(DICOM)' --model $(subst $(COMMA), ,$(MODEL)) --out '$(OUT)' $(ARGS)

reproduce: $(READY)
	mkdir -p '$(STUDY)'
	cd '$(STUDY)' && '$(abspath $(NET_LUNG))' reproduce --cohort $(COHORT) --scale $(SCALE) $(ARGS)

bench: $(READY)
	$(BIN)/pip install --disable-pip-version-check -q -e '.[$(TF),bench]'
	$(BIN)/python benchmarks/network.py
	$(BIN)/python benchmarks/sampler.py
	$(BIN)/python benchmarks/inference.py $(if $(DICOM),--dicom '$(DICOM)')
	$(BIN)/python benchmarks/evaluation.py
	$(if $(DICOM),$(BIN)/python benchmarks/preprocessing.py --dicom '$(DICOM)' $(ARGS))

# whole modules go to one of two workers; tests/conftest.py begins with the longest
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

test: lint
	$(PYTEST) $(ARGS)

test-all: lint docs
	$(PYTEST) --slow $(ARGS)

coverage: $(READY)
	$(PYTEST) --cov $(ARGS)

test-long: lint
	$(PYTEST) -m long --long $(ARGS)

test-matrix:
	$(PYTHON) tests/matrix.py $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

clean:
	rm -rf $(VENV) .matrix demo check reproduce-phantom-* build docs/_build *.egg-info .pytest_cache .ruff_cache .mypy_cache
