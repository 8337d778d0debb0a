"""``python -m niftynet_ext``: evaluate, select, ensemble, postprocess, report."""

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from data_prep.core import files, predictions
from data_prep.core.console import PLAIN
from data_prep.core.errors import DataError
from niftynet_ext.core.errors import RoundsError
from niftynet_ext.core.paper import PAPER_PLAN
from niftynet_ext.study import cases, ensemble, postprocess, tables
from niftynet_ext.study import scoring as cohort
from niftynet_ext.study import select as selection

WIDTH = 132  # of the tables, where the terminal is narrower or none


def main(argv=None):
    """Run one sub-command.

    :return: exit code: 0, or 2 for wrong input
    """
    options = _parser().parse_args(argv)
    try:
        options.run(options)
    except (DataError, RoundsError, OSError, ValueError) as error:
        print(f"niftynet_ext {options.command}: {error}", file=sys.stderr)
        return 2
    return 0


def _parser():
    parser = argparse.ArgumentParser(prog="python -m niftynet_ext", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    one = commands.add_parser(
        "evaluate",
        help="score predictions; print the paper's tables",
        description="Score one or several models against references.",
    )
    _add_references(one)
    one.add_argument(
        "--predictions",
        nargs="+",
        required=True,
        metavar="[NAME[@ITERATION]=]FOLDER",
        help="masks or probabilities, one folder for each model",
    )
    one.add_argument("--out", type=Path, required=True, help="folder for CSV and JSON")
    one.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    one.add_argument(
        "--compare",
        nargs="+",
        metavar="NAME[@ITERATION]",
        help="test these models against each other only (default: every two)",
    )
    one.set_defaults(run=_evaluate)

    one = commands.add_parser(
        "select",
        help="each model's best checkpoint by Dice3D",
        description="Compare checkpoints on the validation patients.",
    )
    _add_references(one, "Validation")
    which = one.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--predictions",
        nargs="+",
        metavar="[NAME[@ITERATION]=]FOLDER",
        help="one folder for each checkpoint",
    )
    which.add_argument(
        "-c",
        "--config",
        nargs="+",
        type=Path,
        metavar="INI",
        help="infer the checkpoints of these networks first, if not yet done",
    )
    one.add_argument(
        "--iterations",
        nargs="+",
        type=int,
        metavar="N",
        default=[stage.last for stage in PAPER_PLAN],
        help="checkpoints, with -c (default: the paper's, %(default)s)",
    )
    one.add_argument("--out", type=Path, required=True, help="JSON file to write")
    one.set_defaults(run=_select)

    one = commands.add_parser(
        "ensemble",
        help="combine models' probabilities",
        description="Combine folders of probability maps into one.",
    )
    one.add_argument(
        "--predictions",
        nargs="+",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="one folder for each model",
    )
    one.add_argument("--out", type=Path, required=True, help="folder to write")
    one.add_argument(
        "--method", choices=ensemble.METHODS, default="mean", help="default: %(default)s"
    )
    one.add_argument(
        "--weights", nargs="+", type=float, metavar="W", help="one for each folder (default: equal)"
    )
    one.set_defaults(run=_ensemble)

    one = commands.add_parser(
        "postprocess",
        help="alter masks step by step and show the effect",
        description="Take steps on a model's masks; score after each.",
    )
    _add_references(one, "Validation")
    one.add_argument("--predictions", required=True, metavar="FOLDER", help="of one model")
    one.add_argument(
        "--steps",
        required=True,
        metavar="'STEP ...'",
        help="some of "
        + ", ".join(
            f"{name}:NUMBER" if needs else name for name, (needs, _) in postprocess.STEPS.items()
        )
        + "; mL, or mm around the box",
    )
    one.add_argument("--out", type=Path, required=True, help="folder for masks, CSV and JSON")
    one.set_defaults(run=_postprocess)

    one = commands.add_parser(
        "report",
        help="one HTML file that shows an evaluation",
        description="Draw what evaluate wrote into one HTML file.",
    )
    one.add_argument("--evaluation", type=Path, required=True, help="folder that evaluate wrote")
    one.add_argument("--out", type=Path, help="HTML file (default: report.html in that folder)")
    one.set_defaults(run=_report)
    return parser


def _add_references(parser, default=None):
    parser.add_argument(
        "--references",
        type=Path,
        required=True,
        help="folder that preprocess wrote, or one of NIfTI masks",
    )
    parser.add_argument(
        "--set",
        default=default,
        help="Training, Validation or Inference: score this set only (default: "
        f"{default or 'every set that was predicted'}); names a folder of masks",
    )


def _evaluate(options):
    models = [cohort.parse_model(text) for text in options.predictions]
    known = [cohort.label(*one[:2]) for one in models]
    unknown = [one for one in options.compare or () if one not in known]
    if unknown:
        raise DataError(f"--compare {' '.join(unknown)}: no such model; found {', '.join(known)}.")
    scored = score_models(models, options.references, options.set)
    _show_and_write(
        scored,
        options.out,
        options.seed,
        among=options.compare,
        references=_seen_from(options.out, options.references),
        predictions={cohort.label(*one[:2]): _seen_from(options.out, one.folder) for one in models},
    )


def _seen_from(folder, path):
    """
    :return: a path relative to the folder whose files name it, so that they may move together
    """
    return os.path.relpath(path, folder)


def _show_and_write(scored, out, seed, against=None, among=None, **about):
    """Print the tables of each set, and write all of them.

    :param scored: list of what :func:`~.evaluation.cohort.score_model` returns
    :param against: model to compare the others with, by default every two
    :param among: models to compare, by default all
    :param about: further entries of the JSON file
    """
    patients, by_slice = (pd.concat(one, ignore_index=True) for one in zip(*scored, strict=True))
    summary = cohort.summarise(patients, by_slice, seed)
    tests = cohort.compare(patients, against, among)
    tables.write(out, summary, patients, by_slice, tests, seed=seed, **about)
    console = Console(width=max(Console().width, WIDTH))
    for group in patients["set"].unique():
        console.print(tables.dice_table(summary, group))
        console.print(tables.distance_table(summary, group))
    if len(tests):
        console.print(tables.comparison_table(tests))
    console.print(f"Per slice, per patient and cohort, as CSV and JSON: {out}", **PLAIN)


def _select(options):
    if options.config:
        models = selection.infer_all(
            options.config, options.iterations, options.references, options.set
        )
    else:
        models = [cohort.parse_model(text) for text in options.predictions]
    scored = score_models(models, options.references, options.set)
    summary = cohort.summarise(*map(pd.concat, zip(*scored, strict=True)))
    best = selection.select_best(summary)
    folders = {one[:2]: one.folder for one in models}
    selection.write(options.out, summary, best, folders)
    console = Console(width=max(Console().width, WIDTH))
    console.print(tables.dice_table(summary, options.set))
    for row in best.to_dict("records"):
        console.print(
            f"best of {row['model']}: {cohort.label(row['model'], row['iteration'])}, "
            f"Dice3D {row['dice_3d_mean']:.3f}",
            **PLAIN,
        )
    console.print(f"The choice is in {options.out}.", **PLAIN)


def _ensemble(options):
    if len(options.predictions) < 2:
        raise DataError(
            f"--predictions is one folder, {options.predictions[0]}: expected those of "
            f"two models or more."
        )
    written = ensemble.ensemble(options.predictions, options.out, options.weights, options.method)
    print(f"{len(written)} patients of {len(options.predictions)} models are in {options.out}.")


def _postprocess(options):
    plan = postprocess.parse_plan(options.steps)
    references, unlabelled = cases.find_references(options.references, options.set)
    folder = Path(options.predictions)
    if options.out.resolve() == folder.resolve():
        raise DataError(f"--out {options.out} is the folder of the predictions. Name another.")
    files.make_folder(options.out)

    def stage(count):
        """Score with the first ``count`` steps; with all of them, write the masks."""
        steps = plan[:count]

        def alter(mask, affine, one):
            image = references[one].image if postprocess.needs_ct(steps) else None
            if image is None and postprocess.needs_ct(steps):
                raise DataError(
                    "A box is found in the CT: give --references the folder that preprocess wrote."
                )
            ct = predictions.read_foreground(image) if image else None
            mask = postprocess.apply(mask, affine, steps, ct)
            if steps == plan:
                files.write_nifti(options.out / f"{one}_mask.nii.gz", mask.astype(np.uint8), affine)
            return mask

        name = f"+ {steps[-1]}" if steps else "as predicted"
        model = cohort.Model(f"{count}. {name}", None, folder)
        return cohort.score_model(model, references, options.set, unlabelled, alter)

    scored = [stage(count) for count in range(len(plan) + 1)]
    _show_and_write(
        scored,
        options.out,
        0,
        against=scored[0][0]["model"][0],
        references=_seen_from(options.out, options.references),
        predictions=_seen_from(options.out, folder),
        steps=[str(step) for step in plan],
    )


def _report(options):
    from niftynet_ext.study import report  # matplotlib and tensorboard are slow to import

    path = options.out or options.evaluation / "report.html"
    report.write_report(options.evaluation, path)
    print(f"The report is {path}.")


def score_models(models, folder, which=None):
    """Score models against the same references.

    :param models: list of :class:`~.evaluation.cohort.Model`
    :param folder: of the references
    :param which: set to score
    :return: list of what :func:`~.evaluation.cohort.score_model` returns
    :raises DataError: two models have one name and iteration, or a model cannot be scored
    """
    labels = [cohort.label(*one[:2]) for one in models]
    twice = sorted({one for one in labels if labels.count(one) > 1})
    if twice:
        raise DataError(
            f"{', '.join(twice)} is given more than once. Name the folders: NAME@ITERATION=FOLDER."
        )
    references, unlabelled = cases.find_references(folder, which)
    return [cohort.score_model(one, references, which, unlabelled) for one in models]


if __name__ == "__main__":
    sys.exit(main())
