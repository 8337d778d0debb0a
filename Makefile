# Each target is a few lines that a person could type without make, in an environment that has
# this project installed (`pip install .[cpu]`). `make` builds that environment by itself.

PYTHON ?= python3
VENV ?= .venv
# cpu or gpu: which TensorFlow to install
TF ?= cpu
# v1, v2 or baseline
NET ?= v1
# where `make preprocess` writes. The ini files read data/: with another OUT, name it in them
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
READY = $(VENV)/.ready-$(TF)
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help install demo download check segment reproduce preprocess train inference restore \
  evaluate select ensemble postprocess report bench test test-matrix lint clean

help:
	@sed -n 's/^## //p' Makefile

## make demo                         synthetic patients through the whole path, in minutes
## make test                         lint and tests
## make test-matrix                  plugins and compatibility on every Python and TensorFlow here
## make download DICOM=DIR           NSCLC-Radiomics from the NCI's commons; asks first
## make check DICOM=DIR              a verdict on every patient, a contact sheet; in check/
## make preprocess DICOM=DIR         CT + RTSTRUCT of a folder of patients to NIfTI in data/
## make train NET=v1                 the paper's two rounds; run again, it goes on
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
## make reproduce                    the paper's study, from the download to the report; run again,
##                                   it goes on. Minutes: make reproduce COHORT=phantom SCALE=0.001
## make bench DICOM=DIR              networks, sampler, inference, the measures of evaluate, and data_prep
##                                   on one patient's files, beside the programs that people use

install: $(READY)

$(READY): setup.cfg setup.py niftynet_ext/hook.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -q -e '.[$(TF),test]'
	touch $@

NEED_DICOM = $(if $(DICOM),,$(error say which folder: make $@ DICOM=<folder of the patients>))

download: $(READY)
	$(NEED_DICOM)
	$(BIN)/python -m data_prep download --out '$(DICOM)' $(ARGS)

check: $(READY)
	$(NEED_DICOM)
	$(BIN)/python -m data_prep check --dicom '$(DICOM)' --out check $(ARGS)

preprocess: $(READY)
	$(NEED_DICOM)
	$(BIN)/python -m data_prep preprocess --dicom '$(DICOM)' --out '$(OUT)' $(ARGS)

train: $(READY)
	$(BIN)/python -m niftynet_ext.study.rounds -c config_ini/$(INI).ini $(ARGS)

inference: $(READY)
	$(BIN)/net_segment inference -c config_ini/$(INI).ini $(ARGS)

restore: $(READY)
	$(BIN)/python -m data_prep restore --data '$(OUT)' --predictions models/$(INI)/inference --out models/$(INI)/masks
	$(BIN)/python -m data_prep picture --data '$(OUT)' --masks models/$(INI)/masks --out models/$(INI)/picture.png

report: $(READY)
	$(BIN)/python -m niftynet_ext report --evaluation '$(EVALUATION)' $(ARGS)

segment: $(READY)
	$(if $(and $(DICOM),$(MODEL),$(filter command,$(origin OUT))),,$(error say make segment DICOM=<folder> MODEL=<model_dir>[,<model_dir>...] OUT=<folder>))
	$(BIN)/python -m data_prep segment --dicom '$(DICOM)' --model $(subst $(COMMA), ,$(MODEL)) --out '$(OUT)' $(ARGS)

evaluate: $(READY)
	$(BIN)/python -m niftynet_ext evaluate --references '$(OUT)' --predictions $(PREDICTIONS) --out '$(EVALUATION)' $(ARGS)

select: $(READY)
	$(BIN)/python -m niftynet_ext select --references '$(OUT)' -c $(foreach net,v1 v2 baseline,config_ini/$(INI_$(net)).ini) --out models/best.json $(ARGS)

ensemble: $(READY)
	$(if $(filter file,$(origin PREDICTIONS)),$(error say which models: make ensemble PREDICTIONS='<folder of predictions> <folder> ...'))
	$(BIN)/python -m niftynet_ext ensemble --predictions $(PREDICTIONS) --out models/ensemble/inference $(ARGS)

postprocess: $(READY)
	$(BIN)/python -m niftynet_ext postprocess --references '$(OUT)' --predictions $(PREDICTIONS) --steps '$(STEPS)' --out models/$(INI)/postprocessed $(ARGS)

bench: $(READY)
	$(BIN)/pip install --disable-pip-version-check -q -e '.[$(TF),bench]'
	$(BIN)/python benchmarks/network.py
	$(BIN)/python benchmarks/sampler.py
	$(BIN)/python benchmarks/inference.py $(if $(DICOM),--dicom '$(DICOM)')
	$(BIN)/python benchmarks/evaluation.py
	$(if $(DICOM),$(BIN)/python benchmarks/preprocessing.py --dicom '$(DICOM)' $(ARGS))

reproduce: $(READY)
	mkdir -p '$(STUDY)'
	cd '$(STUDY)' && '$(abspath $(BIN))/python' -m niftynet_ext.study.reproduce --cohort $(COHORT) --scale $(SCALE) --config-dir '$(CURDIR)/config_ini'

demo: $(READY)
	$(BIN)/python -m data_prep phantom --out demo/dicom --patients 12 --matrix 128 --slices 28
	$(BIN)/python -m data_prep preprocess --dicom demo/dicom --out demo/data --split 9 0 3
	$(BIN)/python -m niftynet_ext.study.rounds -c config_ini/demo.ini --plan 'DiceForeground:700'
	$(BIN)/python -m niftynet_ext.study.rounds -c config_ini/demo.ini --plan 'DiceForeground:700 Focal:1400' --lr 0.0005
	$(BIN)/net_segment inference -c config_ini/demo.ini > demo/inference.log 2>&1 || { grep -aE 'Error|CRITICAL' demo/inference.log; exit 1; }
	$(BIN)/python -m data_prep restore --data demo/data --predictions demo/inference --out demo/masks
	$(BIN)/python -m data_prep picture --data demo/data --masks demo/masks --out demo/picture.png
	@echo
	@echo 'The demo is done. On three patients that the network never saw:'
	@echo '  demo/picture.png        contours over the CT: look at it first'
	@echo '  demo/masks/             a mask on each CT'"'"'s own grid, and scores.csv, the table above'
	@echo '  demo/model/             checkpoints, logs, events for TensorBoard'
	@echo 'With real patients (CT and RTSTRUCT, e.g. NSCLC-Radiomics from TCIA):'
	@echo '  make preprocess DICOM=<their folder>'
	@echo '  make train NET=v1 && make inference NET=v1 && make restore NET=v1'

test: lint
	$(BIN)/python -m pytest

test-matrix:
	$(PYTHON) tests/matrix.py $(ARGS)

lint: $(READY)
	$(BIN)/ruff check --line-length 100 --select E,F,W,I,N,B,UP,RUF100 .

clean:
	rm -rf $(VENV) .matrix demo check reproduce-phantom-* build *.egg-info .pytest_cache .ruff_cache
