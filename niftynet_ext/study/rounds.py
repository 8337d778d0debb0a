"""The paper's training in rounds: Dice, then focal loss, from one checkpoint to the next.

:func:`train_in_rounds` runs plain ``net_segment train`` calls whose command-line flags override the
ini file. Run again, however it ended, it resumes from the last whole checkpoint. The optimiser's
state is part of NiftyNet's checkpoints: a new loss starts with the moments of Adam that the
previous loss left.
"""

import argparse
import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from io import RawIOBase
from os import PathLike
from pathlib import Path

from niftynet_ext.core import checkpoints
from niftynet_ext.core.errors import RoundsError, TrainingFailedError
from niftynet_ext.core.messages import CHECK_PREFIX, PROGRESS_PREFIX
from niftynet_ext.core.paper import PAPER_PLAN, Stage
from niftynet_ext.training import lock

CAUSE = re.compile(r"^(?:error: |[\w.]+(?:Error|Exception)\b: |CRITICAL:niftynet: )")
"""A line of a log that states a cause: a refusal, the last line of a traceback, or NiftyNet's."""

TERMINAL_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Escape sequences that colour the text on a terminal."""

ERRORS_SHOWN, LAST_LINES_SHOWN = 4, 15
"""How much of a log an error message quotes: its first errors, or its last lines."""

_SHOWN = (PROGRESS_PREFIX, CHECK_PREFIX)
_PLAN_EXAMPLE = "'DiceForeground:20000 Focal:30000'"


def parse_plan(text: str) -> tuple[Stage, ...]:
    """Read a plan of stages.

    :param text: e.g. ``"DiceForeground:20000 Focal:30000"``: loss and its last iteration
    :return: the stages in their order
    :raises RoundsError: not of that form, or iterations that do not increase
    """
    stages: list[Stage] = []
    for word in text.split():
        loss, _, last = word.partition(":")
        if not loss or not last.isdecimal():
            raise RoundsError(f"--plan: {word!r} is not LOSS:LAST_ITERATION, e.g. {_PLAN_EXAMPLE}")
        if int(last) <= (stages[-1].last if stages else 0):
            raise RoundsError(
                f"--plan: {word!r}: last iterations count from the start of the training and must "
                "increase from stage to stage"
            )
        stages.append(Stage(loss, int(last)))
    if not stages:
        raise RoundsError(f"--plan is empty; expected e.g. {_PLAN_EXAMPLE}")
    return tuple(stages)


def read_folders(config: str | PathLike[str]) -> tuple[Path, Path | None]:
    """Read from an ini file where the model and the split are, by NiftyNet's rules.

    :param config: path of the ini file
    :return: model folder, and the split file or None
    :raises RoundsError: there is no such file, or no ``model_dir`` in it
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        if not parser.read(config, encoding="utf-8"):
            raise RoundsError(f"{config} does not exist. Give the ini file of the network.")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise RoundsError(f"{config} is not an ini file: {error}") from error
    folder = parser.get("SYSTEM", "model_dir", fallback="")
    if not folder:
        raise RoundsError(f"{config}: [SYSTEM] has no model_dir; add it")
    split = parser.get("SYSTEM", "dataset_split_file", fallback="")
    # a relative path is relative to the model folder that the same ini file names
    model_dir = Path(folder).expanduser().absolute()
    split_file = Path(os.path.normpath(model_dir / Path(split).expanduser())) if split else None
    return model_dir, split_file


def command(
    config: str | PathLike[str], stage: Stage, start: int, overrides: Sequence[str] = ()
) -> list[str]:
    """Return the ``net_segment train`` call of a stage, word by word.

    :param config: path of the ini file
    :param stage: the stage to run
    :param start: iteration whose checkpoint the stage continues; 0 initialises the network
    :param overrides: further ``net_segment`` flags
    """
    return [
        "net_segment",
        "train",
        "-c",
        str(config),
        "--starting_iter",
        str(start),
        "--max_iter",
        str(stage.last),
        "--loss_type",
        stage.loss,
        *overrides,
    ]


def run_command(words: Sequence[str], log_path: Path) -> int:
    """Run one call and append its output to a log; show progress and warnings on the screen too.

    :param words: a ``net_segment`` call
    :param log_path: the log
    :return: the exit code
    :raises RoundsError: ``net_segment`` is not installed
    """
    beside_python = Path(sys.executable).with_name(words[0])
    script = str(beside_python) if beside_python.exists() else shutil.which(words[0])
    if not script:
        raise RoundsError("net_segment not found: install niftynet into this environment")
    live = sys.stderr.isatty()
    with open(log_path, "ab", buffering=0) as log:
        keep(log, f"$ {shlex.join(words)}\n")
        process = subprocess.Popen(
            [script, *words[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None  # as it is a pipe
        try:
            for line in process.stdout:
                keep(log, line)
                if line.startswith(_SHOWN):
                    rewritten = live and line.startswith(PROGRESS_PREFIX)
                    print(
                        f"\r\033[K{line.rstrip()}" if live else line.rstrip(),
                        end="" if rewritten else "\n",
                        file=sys.stderr,
                        flush=True,
                    )
        except KeyboardInterrupt:  # NiftyNet received it too, and is writing its checkpoint
            keep(log, process.communicate()[0])
            raise
        finally:
            if live:
                print(file=sys.stderr)
        return process.wait()


def keep(log: RawIOBase, text: str) -> None:
    """Write to a log, or to the screen if the disk is full: the training itself continues.

    :param log: unbuffered binary file
    :param text: what to write
    """
    try:
        log.write(text.encode("utf-8", "replace"))
    except OSError:
        print(text, end="", file=sys.stderr, flush=True)


def explain(stage: Stage, code: int, log: str, log_path: Path, advanced: bool) -> str:
    """Explain why a stage failed: the first causes that its log states, and what to do.

    :param stage: the stage that failed
    :param code: exit code of its call
    :param log: what the call printed
    :param log_path: file of the log
    :param advanced: whether the call wrote a checkpoint
    """
    causes = causes_in(log)
    advice = (
        "resume from the last checkpoint" if advanced else "try again after you have fixed this"
    )
    return "\n".join(
        [
            *causes,
            "",
            f"{stage.loss} did not reach iteration {stage.last} (exit code {code}); the whole log "
            f"is {log_path}. Run the same command to {advice}.",
        ]
    )


def causes_in(log: str) -> list[str]:
    """Return why a call of NiftyNet failed: refusals, else the first errors, else the last lines.

    :param log: what the call printed
    """
    lines = [TERMINAL_COLOURS.sub("", line).rstrip() for line in log.splitlines()]
    errors = list(dict.fromkeys(line for line in lines if CAUSE.match(line)))
    refusals = [line.removeprefix("error: ") for line in errors if line.startswith("error: ")]
    return refusals or errors[:ERRORS_SHOWN] or lines[-LAST_LINES_SHOWN:]


def train_in_rounds(
    config: str | PathLike[str],
    plan: Sequence[Stage] = PAPER_PLAN,
    model_dir: str | PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    dry_run: bool = False,
) -> None:
    """Train through the stages of a plan that are not finished yet.

    :param config: path of the ini file
    :param plan: the stages
    :param model_dir: overrides that of the ini file
    :param overrides: further ``net_segment train`` flags
    :param dry_run: print the calls, run nothing
    :raises RoundsError: the training cannot start, or a stage ended without its checkpoint
    :raises RefusedError: another process is training in the model folder
    """
    folder, split_file = read_folders(config)
    split_file = _given_split(overrides) or split_file
    if split_file and not split_file.is_file() and not dry_run:
        raise RoundsError(
            f"{config}: dataset_split_file does not exist: {split_file}.\nWrite it with "
            "`net_lung preprocess`; without it NiftyNet would train on all patients, including "
            "those of the test set."
        )
    flags: list[str] = []
    if model_dir:
        folder = Path(model_dir).expanduser().absolute()
        flags = ["--model_dir", str(folder)]
        if split_file:  # NiftyNet would look for it from the new folder
            flags += ["--dataset_split_file", str(split_file)]
    flags += overrides  # of a flag that is given twice NiftyNet takes the last
    start = checkpoints.latest(folder) or 0
    remaining = [stage for stage in plan if stage.last > start]
    if not remaining:
        print(f"{folder}: all {plan[-1].last} iterations are already done")
    for stage in remaining:
        words = command(config, stage, start, flags)
        print(shlex.join(words), file=None if dry_run else sys.stderr, flush=True)
        if not dry_run:
            _train_stage(words, stage, start, folder)
        start = stage.last


def _given_split(overrides: Sequence[str]) -> Path | None:
    """Return the absolute split file among ``net_segment`` flags; others are NiftyNet's to find."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--dataset_split_file", type=Path)
    given: Path | None = parser.parse_known_args(list(overrides))[0].dataset_split_file
    return given if given and given.is_absolute() else None


def _train_stage(words: Sequence[str], stage: Stage, start: int, model_dir: Path) -> None:
    """Run the call of one stage.

    :raises RoundsError: it ended without its checkpoint
    """
    model_dir.mkdir(parents=True, exist_ok=True)
    lock.check_free(model_dir)  # the log belongs to the process that is training there
    log_path = model_dir / "rounds.log"
    known_bytes = log_path.stat().st_size if log_path.exists() else 0
    code = run_command(words, log_path)
    reached = checkpoints.latest(model_dir) or 0
    # NiftyNet ends with exit code 0 when its session fails: only a checkpoint counts
    if code or reached != stage.last:
        log = log_path.read_bytes()[known_bytes:].decode("utf-8", "replace")
        raise TrainingFailedError(explain(stage, code, log, log_path, reached > start))
