"""Reproduce the paper's study, from the data to the report.

Plain commands in the working folder, each printed before it runs: the data, preprocessing, three
networks through two rounds, inference at four iterations, the selection and the ensemble of the
best checkpoints, the paper's three tables, the report. A command that succeeded does not run again:
after an interruption, the same call resumes. A small scale makes few iterations, to try the whole
path; its numbers say nothing about the paper.
"""

import configparser
import io
import shlex
import subprocess
import sys
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from data_prep.cohort.split import PAPER_SPLIT, PHASES
from data_prep.core import files
from data_prep.core.contracts import Contract
from data_prep.core.errors import DataError, StepFailedError
from niftynet_ext.core.paper import PAPER_PLAN, Stage
from niftynet_ext.study import cases
from niftynet_ext.study import select as selection

STUDIED_NETWORKS = ("densehighres3dnet_v1", "densehighres3dnet_v2", "highres3dnet_matched")
"""Names of the ini files of the paper's three networks."""

STUDY_FILE = Path("reproduce.json")
"""The file of a :class:`StudyRecord`, in the folder of the study."""

PHANTOM = "phantom"
"""The cohort of synthetic patients."""

DEFAULT_COHORT = "nsclc_radiomics"
"""The paper's cohort. 421 patients are usable; the paper's three sets leave out 81 of them."""

NET_LUNG = (sys.executable, "-m", "niftynet_ext")
"""How the commands are started; on the screen they are ``net_lung ...``."""

_PHANTOM_PATIENTS = "--patients 7 --matrix 64 --slices 20"
_PHANTOM_KEYS = {  # phantoms are small, and so are the machines that try them
    "spatial_window_size": "(24, 24, 16)",
    "batch_size": "1",
    "queue_length": "4",
    "sample_per_volume": "2",
    "tensorboard_every_n": "1",
    "deformation_sigma": "1",
}


class StudyRecord(Contract):
    """The cohort and scale of a study, and the commands that succeeded."""

    cohort: str
    scale: float
    done: list[str] = []


class Study:
    """The study of one folder: its cohort and scale, and what is done.

    :param cohort: ``phantom``, or a collection that ``download`` knows
    :param scale: share of the paper's iterations, at most 1
    :raises DataError: the folder holds a study of another cohort or scale
    """

    def __init__(self, cohort: str, scale: float) -> None:
        self.plan = scaled_plan(scale)
        self.record = StudyRecord(cohort=cohort, scale=scale)
        if STUDY_FILE.is_file():
            known = StudyRecord.read(STUDY_FILE, "Run in another folder.")
            if (known.cohort, known.scale) != (cohort, scale):
                raise DataError(
                    f"{STUDY_FILE.absolute()} holds a study of --cohort {known.cohort} --scale "
                    f"{known.scale:g}, but this one is of --cohort {cohort} --scale {scale:g}. Run "
                    "in another folder."
                )
            self.record = known

    def run(self, arguments: str) -> None:
        """Run a command of ``net_lung``, unless it succeeded before.

        :param arguments: the command and its options, quoted as for a shell
        :raises DataError: it failed
        """
        words = shlex.split(arguments)
        line = shlex.join(["net_lung", *words])
        is_done = line in self.record.done
        print(f"\n{'(done) ' if is_done else ''}$ {line}", file=sys.stderr, flush=True)
        if is_done:
            return
        code = subprocess.run([*NET_LUNG, *words]).returncode
        if code:
            raise StepFailedError(
                f"The command above ended with exit code {code}. Fix the problem "
                "reported above, then run the same command again to resume."
            )
        self.record = StudyRecord(
            cohort=self.record.cohort,
            scale=self.record.scale,
            done=[*self.record.done, line],
        )
        self.record.write(STUDY_FILE)


def scaled_plan(scale: float) -> tuple[Stage, ...]:
    """Scale the iterations of the paper's stages.

    :param scale: above 0, at most 1
    :raises DataError: the scale is out of range, or leaves a stage without an iteration
    """
    plan = tuple(stage._replace(last=round(scale * stage.last)) for stage in PAPER_PLAN)
    ends = [0, *(stage.last for stage in plan)]
    if not 0 < scale <= 1 or any(a >= b for a, b in zip(ends, ends[1:], strict=False)):
        raise DataError(
            f"--scale is {scale}, expected above 0 (0.0001 leaves the shortest stage one "
            "iteration) and at most 1."
        )
    return plan


def write_config(source: Path, target: Path, changes: Mapping[str, str]) -> None:
    """Copy an ini file with other values.

    :param source: a shipped ini file
    :param target: file to write
    :param changes: values by key, set wherever a section has the key
    """
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(source, encoding="utf-8")
    for section in ini.sections():
        ini[section].update({key: value for key, value in changes.items() if key in ini[section]})
    text = io.StringIO()
    ini.write(text)
    files.write_bytes(target, text.getvalue().encode())


def reproduce(cohort: str, scale: float, config_dir: str | PathLike[str]) -> None:
    """Run the study, or what is left of it, in the working folder.

    :param cohort: ``phantom``, or a collection that ``download`` knows
    :param scale: share of the paper's iterations
    :param config_dir: folder of the shipped ini files
    :raises DataError: a command failed; its own message is on the screen
    """
    sources = [Path(config_dir, f"{name}.ini") for name in STUDIED_NETWORKS]
    for source in sources:
        if not source.is_file():
            raise DataError(f"--config-dir {config_dir}: {source.name} does not exist there.")
    study = Study(cohort, scale)
    configs = [Path("config", source.name) for source in sources]
    for source, path in zip(sources, configs, strict=True):
        write_config(source, path, _PHANTOM_KEYS if cohort == PHANTOM else {})
    _prepare_data(study, cohort)
    plan = " ".join(f"{stage.loss}:{stage.last}" for stage in study.plan)
    for path in configs:
        study.run(f"train -c {path} --plan '{plan}'")
    references, _ = cases.find_references(Path("data"))
    patient_ids = [name for name, reference in references.items() if reference.set in PHASES]
    models = [
        selection.infer(path, stage.last, "All", patient_ids)
        for path in configs
        for stage in study.plan
    ]
    _evaluate(
        study, " ".join(f"{model.label}={model.folder.relative_to(Path.cwd())}" for model in models)
    )


def _prepare_data(study: Study, cohort: str) -> None:
    """Get the patients and preprocess them."""
    if cohort == PHANTOM:
        study.run(f"phantom --out dicom {_PHANTOM_PATIENTS}")
        split = "4 2 1"
    else:
        study.run(f"download --collection {cohort} --out dicom --yes")
        split = " ".join(map(str, PAPER_SPLIT))
    study.run(f"preprocess --dicom dicom --out data --split {split}")


def _evaluate(study: Study, folders: str) -> None:
    """Select the best checkpoints, combine them, evaluate all, and write the report.

    :param folders: of the predictions, as on the command line
    """
    path = selection.SELECTION_FILE
    study.run(f"select --references data --set Validation --out {path} --predictions {folders}")
    best = selection.read_selection(path).best
    # the questions of the study: does a network differ from another, and the ensemble from each?
    # comparing each iteration with all others would adjust these differences away
    compared = [*(checkpoint.label for checkpoint in best), "ensemble"]
    best_folders = " ".join(checkpoint.folder for checkpoint in best)
    study.run(f"ensemble --out ensemble --predictions {best_folders}")
    study.run(
        f"evaluate --references data --out evaluation --predictions {folders} ensemble=ensemble "
        f"--compare {' '.join(compared)}"
    )
    study.run("report --evaluation evaluation")
