"""The paper's study from data to report: ``python -m niftynet_ext.study.reproduce``.

Plain commands in the folder it runs in, each printed before it runs: the data, preprocessing, three
networks through two rounds, inference at four iterations, the choice and the ensemble of the best,
the paper's three tables, the report. A command that succeeded is not run again: after an
interruption the same call goes on. A small ``--scale`` makes few iterations, to see the whole of it
run; such numbers say nothing about the paper.
"""

import argparse
import configparser
import io
import json
import shlex
import subprocess
import sys
from pathlib import Path

from data_prep.cohort.split import PAPER_SPLIT, PHASES
from data_prep.core import files
from data_prep.core.errors import DataError
from niftynet_ext.study import cases, rounds
from niftynet_ext.study.scoring import label as cohort_label
from niftynet_ext.study.select import infer

NETWORKS = ("densehighres3dnet_v1", "densehighres3dnet_v2", "highres3dnet_matched")
DONE = Path("reproduce.json")
"""What ran, in the folder of the study."""

PHANTOM = "phantom"
_PHANTOM_PATIENTS = "--patients 7 --matrix 64 --slices 20"
_PHANTOM_KEYS = {  # phantoms are small, and so are the machines that try them
    "spatial_window_size": "(24, 24, 16)",
    "batch_size": "1",
    "queue_length": "4",
    "sample_per_volume": "2",
    "tensorboard_every_n": "1",
    "deformation_sigma": "1",
}


class Study:
    """One folder's study: what was asked for, and what is done.

    :param cohort: ``phantom``, or a collection that ``data_prep download`` knows
    :param scale: of the paper's iterations, at most 1
    :raises DataError: the folder holds a study of another cohort or scale
    """

    def __init__(self, cohort, scale):
        self.asked = {"cohort": cohort, "scale": scale}
        self.plan = scaled_plan(scale)
        self.done = []
        if DONE.is_file():
            known = json.loads(DONE.read_text(encoding="utf-8"))
            self.done = known.pop("done")
            if known != self.asked:
                raise DataError(
                    f"{DONE.absolute()} is of {known}, asked for is {self.asked}. Run "
                    f"in another folder."
                )

    def run(self, module, arguments):
        """Run a command of ours, unless it succeeded before.

        :raises DataError: it failed
        """
        words = ["python", "-m", module, *shlex.split(arguments)]
        line = shlex.join(words)
        print(f"\n{'(done) ' if line in self.done else ''}$ {line}", flush=True)
        if line in self.done:
            return
        code = subprocess.run([sys.executable, *words[1:]]).returncode
        if code:
            raise DataError(
                f"The command above ended with exit code {code}. Mend what it names "
                f"and run the same again: it goes on from there."
            )
        self.done.append(line)
        files.write_json(DONE, {**self.asked, "done": self.done})


def scaled_plan(scale):
    """
    :param scale: above 0, at most 1
    :return: the paper's stages with that share of their iterations
    :raises DataError: the scale is none, or leaves a stage without an iteration
    """
    plan = tuple(stage._replace(last=round(scale * stage.last)) for stage in rounds.PAPER_PLAN)
    ends = [0, *(stage.last for stage in plan)]
    if not 0 < scale <= 1 or any(a >= b for a, b in zip(ends, ends[1:], strict=False)):
        raise DataError(
            f"--scale is {scale}, expected above 0 (0.0001 leaves one iteration to the "
            f"shortest stage) and at most 1."
        )
    return plan


def write_config(source, target, changes):
    """Copy an ini file with other values.

    :param source: a shipped ini file
    :param target: file to write
    :param changes: dict of values by key, set wherever a section has the key
    """
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(source, encoding="utf-8")
    for section in ini.sections():
        ini[section].update({key: value for key, value in changes.items() if key in ini[section]})
    text = io.StringIO()
    ini.write(text)
    files.write_bytes(target, text.getvalue().encode())


def run(cohort, scale, config_dir):
    """Run the study, or what is left of it, in the working folder.

    :param cohort: ``phantom``, or a collection that ``data_prep download`` knows
    :param scale: of the paper's iterations
    :param config_dir: folder of the shipped ini files
    :raises DataError: a command failed; its own words are on the screen
    """
    study = Study(cohort, scale)
    configs = [Path("config", f"{name}.ini") for name in NETWORKS]
    for path in configs:
        write_config(Path(config_dir, path.name), path, _PHANTOM_KEYS if cohort == PHANTOM else {})
    if cohort == PHANTOM:
        study.run("data_prep", f"phantom --out dicom {_PHANTOM_PATIENTS}")
        study.run("data_prep", "preprocess --dicom dicom --out data --split 4 2 1")
    else:
        study.run("data_prep", f"download --collection {cohort} --out dicom --yes")
        numbers = " ".join(map(str, PAPER_SPLIT))  # of 421 usable patients 81 are left out
        study.run("data_prep", f"preprocess --dicom dicom --out data --split {numbers}")
    plan = " ".join(f"{stage.loss}:{stage.last}" for stage in study.plan)
    for path in configs:
        study.run("niftynet_ext.study.rounds", f"-c {path} --plan '{plan}'")
    references, _ = cases.find_references("data")
    everybody = [one for one, reference in references.items() if reference.set in PHASES]
    models = [infer(path, stage.last, "All", everybody) for path in configs for stage in study.plan]
    folders = " ".join(
        f"{one.name}@{one.iteration}={one.folder.relative_to(Path.cwd())}" for one in models
    )
    study.run(
        "niftynet_ext",
        f"select --references data --set Validation --out best.json --predictions {folders}",
    )
    best = json.loads(Path("best.json").read_text(encoding="utf-8"))["best"]
    # the questions of the study: does one network differ from another, and the ensemble from each?
    # not how each iteration differs from all others, which would adjust these away
    compared = [*(cohort_label(one["model"], one["iteration"]) for one in best), "ensemble"]
    study.run(
        "niftynet_ext",
        "ensemble --out ensemble --predictions " + " ".join(one["folder"] for one in best),
    )
    study.run(
        "niftynet_ext",
        f"evaluate --references data --out evaluation --predictions "
        f"{folders} ensemble=ensemble --compare {' '.join(compared)}",
    )
    study.run("niftynet_ext", "report --evaluation evaluation")


def main(argv=None):
    """Command line of the module.

    :return: exit code: 0, 1 where a command failed, 130 for Ctrl-C
    """
    parser = argparse.ArgumentParser(
        prog="python -m niftynet_ext.study.reproduce", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument(
        "--cohort",
        default="nsclc_radiomics",
        help="collection to download, or phantom (default: %(default)s)",
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the paper's iterations (default: %(default)s)"
    )
    parser.add_argument(
        "--config-dir", required=True, type=Path, help="folder of the shipped ini files"
    )
    options = parser.parse_args(argv)
    try:
        run(options.cohort, options.scale, options.config_dir)
    except (DataError, rounds.RoundsError) as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
