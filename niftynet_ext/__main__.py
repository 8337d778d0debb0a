"""``python -m niftynet_ext``: evaluate, select, ensemble, postprocess, report."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from data_prep.core.console import PLAIN
from data_prep.core.errors import DataError
from niftynet_ext.core.errors import RoundsError
from niftynet_ext.core.paper import PAPER_PLAN
from niftynet_ext.study import ensemble, postprocess, scoring, tables
from niftynet_ext.study import select as selection
from niftynet_ext.study.evaluate import evaluate
from niftynet_ext.study.postprocess_stages import score_stages

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
        help="some of " + ", ".join(postprocess.STEP_FORMS) + "; mL, or mm around the box",
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


def _evaluate(options: argparse.Namespace) -> None:
    models = [scoring.parse_model(text) for text in options.predictions]
    found = evaluate(
        models, options.references, options.out, options.set, options.seed, options.compare
    )
    _show(found, options.out)


def _console() -> Console:
    return Console(width=max(Console().width, WIDTH))


def _show(found: tables.EvaluationTables, out: Path) -> None:
    console = _console()
    tables.print_tables(found, console)
    console.print(f"Per slice, per patient and cohort, as CSV and JSON: {out}", **PLAIN)


def _select(options: argparse.Namespace) -> None:
    if options.config:
        models = selection.infer_all(
            options.config, options.iterations, options.references, options.set
        )
    else:
        models = [scoring.parse_model(text) for text in options.predictions]
    found = selection.select_checkpoints(models, options.references, options.set, options.out)
    console = _console()
    console.print(tables.dice_table(found.summary, options.set))
    for best in found.record.best:
        console.print(f"best of {best.model}: {best.label}, Dice3D {best.dice_3d:.3f}", **PLAIN)
    console.print(f"The choice is in {options.out}.", **PLAIN)


def _ensemble(options: argparse.Namespace) -> None:
    written = ensemble.ensemble(options.predictions, options.out, options.weights, options.method)
    print(f"{len(written)} patients of {len(options.predictions)} models are in {options.out}.")


def _postprocess(options: argparse.Namespace) -> None:
    steps = postprocess.parse_plan(options.steps)
    found = score_stages(options.predictions, steps, options.references, options.out, options.set)
    _show(found, options.out)


def _report(options: argparse.Namespace) -> None:
    from niftynet_ext.study import report  # matplotlib and tensorboard are slow to import

    path = options.out or options.evaluation / "report.html"
    report.write_report(options.evaluation, path)
    print(f"The report is {path}.")


if __name__ == "__main__":
    sys.exit(main())
