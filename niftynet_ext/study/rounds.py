"""The paper's training in rounds: Dice, then focal loss, from one checkpoint to the next.

``python -m niftynet_ext.study.rounds -c X.ini`` runs plain ``net_segment train`` calls whose
command-line flags override the ini file; ``--dry-run`` prints them. Run again, however it ended,
it goes on from the last whole checkpoint. The optimiser's state is part of NiftyNet's checkpoints:
a new loss starts with the moments of Adam that the old one left.
"""

import argparse
import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from niftynet_ext.core import checkpoints
from niftynet_ext.core.errors import RoundsError
from niftynet_ext.core.messages import CHECK_PREFIX, PROGRESS_PREFIX
from niftynet_ext.core.paper import PAPER_PLAN, Stage
from niftynet_ext.training import lock

SHOWN = (PROGRESS_PREFIX, CHECK_PREFIX)
# what says why in a log: a refusal, the last line of a traceback, or NiftyNet's own words
CAUSE = re.compile(r"^(?:error: |[\w.]+(?:Error|Exception)\b: |CRITICAL:niftynet: )")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def parse_plan(text):
    """
    :param text: e.g. ``"DiceForeground:20000 Focal:30000"``: loss and its last iteration
    :return: tuple of :class:`Stage`
    :raises RoundsError: not of that form, or iterations that do not grow
    """
    stages = []
    for word in text.split():
        loss, _, last = word.partition(":")
        if not loss or not last.isdecimal():
            raise RoundsError(
                f"--plan: {word!r} is not LOSS:LAST_ITERATION, "
                f"e.g. 'DiceForeground:20000 Focal:30000'"
            )
        if int(last) <= (stages[-1].last if stages else 0):
            raise RoundsError(
                f"--plan: {word!r}: last iterations count from the start of the "
                f"training and must grow from stage to stage"
            )
        stages.append(Stage(loss, int(last)))
    if not stages:
        raise RoundsError("--plan is empty; expected e.g. 'DiceForeground:20000 Focal:30000'")
    return tuple(stages)


def read_folders(config):
    """Where an ini file has the model and the split, by NiftyNet's rules.

    :param config: path of an ini file
    :return: model folder, and the split file or None
    :raises RoundsError: no such file, or no ``model_dir`` in it
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        if not parser.read(config, encoding="utf-8"):
            raise RoundsError(f"{config}: no such ini file")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise RoundsError(f"{config} is no ini file: {error}") from error
    in_ini = parser.get("SYSTEM", "model_dir", fallback="")
    if not in_ini:
        raise RoundsError(f"{config}: [SYSTEM] has no model_dir; add one")
    split = parser.get("SYSTEM", "dataset_split_file", fallback="")
    # NiftyNet looks from the model folder; the ini file means the model folder it names itself
    in_ini = Path(in_ini).expanduser().absolute()
    split_file = Path(os.path.normpath(in_ini / Path(split).expanduser())) if split else None
    return in_ini, split_file


def command(config, stage, start, overrides=()):
    """
    :param config: path of the ini file
    :param stage: the stage to run
    :param start: iteration whose checkpoint the stage continues; 0 initialises the network
    :param overrides: further ``net_segment`` flags
    :return: the ``net_segment train`` call of a stage, as a list of words
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


def run_command(words, log_path):
    """Run one call, with all it prints in a log; progress and warnings on the screen as well.

    :param words: a ``net_segment`` call
    :param log_path: file to append to
    :return: the exit code
    :raises RoundsError: ``net_segment`` is not installed
    """
    beside_python = Path(sys.executable).with_name(words[0])
    script = str(beside_python) if beside_python.exists() else shutil.which(words[0])
    if not script:
        raise RoundsError("net_segment not found: install niftynet into this environment")
    live = sys.stdout.isatty()
    with open(log_path, "ab", buffering=0) as log:
        keep(log, f"$ {shlex.join(words)}\n")
        process = subprocess.Popen(
            [script, *words[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        try:
            for line in process.stdout:
                keep(log, line)
                if line.startswith(SHOWN):
                    rewritten = live and line.startswith(PROGRESS_PREFIX)
                    print(
                        f"\r\033[K{line.rstrip()}" if live else line.rstrip(),
                        end="" if rewritten else "\n",
                        flush=True,
                    )
        except KeyboardInterrupt:  # NiftyNet got it too, and is writing its checkpoint
            keep(log, process.communicate()[0])
            raise
        finally:
            if live:
                print()
        return process.wait()


def keep(log, text):
    """
    :param log: unbuffered binary file
    :param text: for the log, or for the screen where the disk is full: the training goes on, and
        says so itself when it cannot write
    """
    try:
        log.write(text.encode("utf-8", "replace"))
    except OSError:
        print(text, end="", flush=True)


def explain(stage, code, log, log_path, advanced):
    """
    :param stage: the stage that broke off
    :param code: exit code of its call
    :param log: what the call printed
    :param log_path: where that stands
    :param advanced: whether a checkpoint was written on the way
    :return: text for the user: the first causes that the log names, and what to do
    """
    lines = [COLOURS.sub("", line).rstrip() for line in log.splitlines()]
    causes = list(dict.fromkeys(line for line in lines if CAUSE.match(line)))
    refusals = [line.removeprefix("error: ") for line in causes if line.startswith("error: ")]
    causes = refusals or causes[:4] or lines[-15:]
    advice = "go on from the last checkpoint" if advanced else "try again once this is mended"
    return "\n".join(
        [
            *causes,
            "",
            f"{stage.loss} did not reach iteration {stage.last} (exit code "
            f"{code}); all of the log: {log_path}. Run the same command to {advice}.",
        ]
    )


def run(config, plan=PAPER_PLAN, model_dir=None, overrides=(), dry_run=False):
    """Train through the stages of ``plan`` that are not finished yet.

    :param config: path of an ini file
    :param plan: stages
    :param model_dir: overrides the ini file's
    :param overrides: further ``net_segment train`` flags
    :param dry_run: print the calls, run nothing
    :raises RoundsError: a stage ended without its checkpoint
    """
    in_ini, split_file = read_folders(config)
    if split_file and not split_file.is_file() and not dry_run:
        raise RoundsError(
            f"{config}: dataset_split_file is not there: {split_file}\nWrite it with "
            f"`make preprocess`; without it NiftyNet would train on every patient, "
            f"those for testing included"
        )
    if model_dir:
        model_dir = Path(model_dir).expanduser().absolute()
        overrides = ["--model_dir", str(model_dir), *overrides]
        if split_file:  # NiftyNet would look for it from the new folder
            overrides += ["--dataset_split_file", str(split_file)]
    model_dir = model_dir or in_ini
    start = checkpoints.latest(model_dir) or 0
    remaining = [stage for stage in plan if stage.last > start]
    if not remaining:
        print(f"{model_dir}: all {plan[-1].last} iterations are there, nothing to do")
    for stage in remaining:
        words = command(config, stage, start, overrides)
        print(shlex.join(words), flush=True)
        if not dry_run:
            model_dir.mkdir(parents=True, exist_ok=True)
            lock.check_free(model_dir)  # the log is that of whoever is training there
            log_path = model_dir / "rounds.log"
            known = log_path.stat().st_size if log_path.exists() else 0
            code = run_command(words, log_path)
            reached = checkpoints.latest(model_dir) or 0
            # NiftyNet ends with exit code 0 when a session breaks off: only a checkpoint counts
            if code or reached != stage.last:
                log = log_path.read_bytes()[known:].decode("utf-8", "replace")
                raise RoundsError(explain(stage, code, log, log_path, reached > start))
        start = stage.last


def main(argv=None):
    """Command line of the module.

    :return: exit code: 0, 1 for a failed training, 130 for Ctrl-C
    """
    parser = argparse.ArgumentParser(
        prog="python -m niftynet_ext.study.rounds",
        description=__doc__.split("\n\n")[0],
        epilog="Flags that this command does not know go to net_segment, e.g. --lr 0.0001",
    )
    parser.add_argument("-c", "--config", required=True, help="ini file of the network")
    parser.add_argument(
        "--plan",
        default=" ".join(f"{s.loss}:{s.last}" for s in PAPER_PLAN),
        help="LOSS:LAST_ITERATION ..., default %(default)r (the paper's)",
    )
    parser.add_argument("--model-dir", "--model_dir", help="overrides the ini file's model_dir")
    parser.add_argument("--dry-run", action="store_true", help="print the calls and stop")
    args, overrides = parser.parse_known_args(argv)
    try:
        run(args.config, parse_plan(args.plan), args.model_dir, overrides, args.dry_run)
    except RoundsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "stopped; run the same command again to go on from the last checkpoint", file=sys.stderr
        )
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
