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
# further options of the command, e.g. ARGS='--roi gtv.*' or ARGS=--dry-run
ARGS ?=

INI_v1 = densehighres3dnet_v1
INI_v2 = densehighres3dnet_v2
INI_baseline = highres3dnet_matched
INI = $(or $(INI_$(NET)),$(error NET=$(NET) is not one of v1, v2, baseline))

BIN = $(VENV)/bin
READY = $(VENV)/.ready-$(TF)
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help install demo preprocess train inference restore test test-matrix lint clean

help:
	@sed -n 's/^## //p' Makefile

## make demo                         synthetic patients through the whole path, in minutes
## make test                         lint and tests
## make test-matrix                  plugins and compatibility on every Python and TensorFlow here
## make preprocess DICOM=DIR         CT + RTSTRUCT of a folder of patients to NIfTI in data/
## make train NET=v1                 the paper's two rounds; run again, it goes on
## make inference NET=v1             probabilities of the test patients
## make restore NET=v1               masks on the CTs' own grids, and Dice3D

install: $(READY)

$(READY): setup.cfg setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -q -e '.[$(TF),test]'
	touch $@

preprocess: $(READY)
	$(if $(DICOM),,$(error say where the patients are: make preprocess DICOM=<folder>))
	$(BIN)/python -m data_prep preprocess --dicom '$(DICOM)' --out '$(OUT)' $(ARGS)

train: $(READY)
	$(BIN)/python -m niftynet_ext.rounds -c config_ini/$(INI).ini $(ARGS)

inference: $(READY)
	$(BIN)/net_segment inference -c config_ini/$(INI).ini $(ARGS)

restore: $(READY)
	$(BIN)/python -m data_prep restore --data '$(OUT)' --predictions models/$(INI)/inference --out models/$(INI)/masks
	$(BIN)/python -m data_prep picture --data '$(OUT)' --masks models/$(INI)/masks --out models/$(INI)/picture.png

demo: $(READY)
	$(BIN)/python -m data_prep phantom --out demo/dicom --patients 12 --matrix 128 --slices 28
	$(BIN)/python -m data_prep preprocess --dicom demo/dicom --out demo/data --split 9 0 3
	$(BIN)/python -m niftynet_ext.rounds -c config_ini/demo.ini --plan 'DiceForeground:600 Focal:850'
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
	rm -rf $(VENV) .matrix demo build *.egg-info .pytest_cache .ruff_cache
