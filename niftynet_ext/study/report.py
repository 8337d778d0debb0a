"""One HTML file that shows an evaluation: everything in it, nothing fetched, everything escaped."""

import base64
import json
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from data_prep.core import files, predictions
from data_prep.core.errors import DataError
from data_prep.core.identity import RESEARCH_USE
from data_prep.pictures import panels, planes
from niftynet_ext.core import paper
from niftynet_ext.study import cases, charts, tables
from niftynet_ext.study.curves import LOG_FOLDERS, read_curve, read_stages
from niftynet_ext.study.scoring import label
from niftynet_ext.study.select import select_best

MEASURES = {
    "dice_3d": "Dice3D",
    "dice_2d": "Dice2D",
    "msd_3d_mm": "MSD 3D mm",
    "hd95_3d_mm": "95%HD 3D mm",
    "reference_ml": "reference mL",
    "predicted_ml": "predicted mL",
    "tp": "TP",
    "fn": "FN",
    "fp": "FP",
    "lesions": "lesions",
    "lesions_found": "found",
    "lesions_false": "false",
    "empty": "empty mask",
}
"""Columns of the per-patient table and their heads."""

_DICE = [f"{name}_{part}" for name in ("dice_3d", "dice_2d") for part in ("mean", "q1", "q2", "q3")]
_DISTANCES = ("dice_tp_mean", "msd_2d_mm_mean", "hd95_2d_mm_mean", "fn", "fp")


def write_report(evaluation_dir, path):
    """Write the report on what ``evaluate`` wrote.

    Learning curves are those of the model folders that the predictions lie in. Overlays need the
    CTs: the references must be in the folder that ``preprocess`` wrote.

    :param evaluation_dir: folder of ``evaluation.json`` and its tables
    :param path: HTML file to write
    :raises DataError: there is no evaluation
    """
    evaluation_dir = Path(evaluation_dir)
    try:
        about = json.loads((evaluation_dir / "evaluation.json").read_text(encoding="utf-8"))
        found = tables.read(evaluation_dir)
        # relative to the evaluation, wherever it is read from
        references = evaluation_dir / about["references"]
        folders = about["predictions"]
        if not isinstance(folders, dict):  # of postprocess: no model's own
            folders = {}
        folders = {name: evaluation_dir / one for name, one in folders.items()}
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{evaluation_dir} holds no evaluation ({error}). Run python -m "
            f"niftynet_ext evaluate --out {evaluation_dir} first."
        ) from error
    trainings = read_trainings(folders.values())
    html = (
        _environment()
        .get_template("report.html.j2")
        .render(
            notice=RESEARCH_USE,
            software=about.get("software", {}),
            definitions=about.get("definitions", {}),
            curves=_uri(charts.learning_curves(trainings), "svg+xml") if trainings else "",
            measures=MEASURES,
            sections=[
                section(found, group, references, folders)
                for group in found["patients"]["set"].unique()
            ],
        )
    )
    files.write_bytes(Path(path), html.encode())


def read_trainings(folders):
    """
    :param folders: of predictions
    :return: dict by model name of what :func:`~.charts.learning_curves` shows, of each folder that
        lies in a model folder with events
    """
    found = {}
    for model_dir in dict.fromkeys(Path(folder).resolve().parent for folder in folders):
        curves = [read_curve(model_dir, phase) for phase in LOG_FOLDERS]
        if any(len(curve.losses) for curve in curves):
            found[model_dir.name] = (*curves, read_stages(model_dir))
    return found


def section(found, group, references, folders):
    """What the report shows of one set.

    :param found: what :func:`~.tables.read` returns
    :param group: name of the set
    :param references: the folder of references
    :param folders: folders of predictions by label of the model
    :return: dict for the template
    """
    cohort, patients, in_slices, tests = (
        table[table["set"] == group] if len(table) else table for table in found.values()
    )
    best = select_best(cohort)
    scored = in_slices[in_slices["kind"] != "FP"]
    top = best.loc[best["dice_3d_mean"].idxmax()]
    overlays, fault = _overlays(_rows_of(patients, top), references, folders)
    return {
        "name": group or "all patients",
        "patients": patients["id"].nunique(),
        "dice": _with_paper(cohort, _DICE, paper.DICE_TABLES.get(group, {})),
        "distances": _with_paper(cohort, _DISTANCES, paper.DISTANCE_TABLES.get(group, {})),
        "tests": tests.to_dict("records"),
        "boxes_3d": _uri(
            charts.boxes(_grouped(patients, "dice_3d"), "Dice3D of patients"), "svg+xml"
        ),
        "boxes_2d": _uri(
            charts.boxes(_grouped(scored, "dice_2d"), "Dice2D of TP and FN slices"), "svg+xml"
        ),
        "agreement": _uri(
            charts.bland_altman(
                {
                    label(row["model"], row["iteration"]): _volumes(_rows_of(patients, row))
                    for _, row in best.iterrows()
                }
            ),
            "svg+xml",
        ),
        "shown": label(top["model"], top["iteration"]),
        "overlays": overlays,
        "fault": fault,
        "rows": patients.to_dict("records"),
    }


def worst_median_best(patients):
    """
    :param patients: DataFrame of one model, with ``id`` and ``dice_3d``
    :return: dict of ids by "worst", "median", "best"; of less than three patients, the ends
    """
    ranked = patients.sort_values(["dice_3d", "id"])["id"].tolist()
    places = {"worst": 0, "median": (len(ranked) - 1) // 2, "best": len(ranked) - 1}
    chosen = {}
    for name, place in places.items():
        if ranked[place] not in chosen.values():
            chosen[name] = ranked[place]
    return chosen


def _overlays(patients, references, folders):
    """The contours of three patients of one model.

    :param patients: the model's rows of the set
    :return: list of dict; why patients are not drawn
    """
    name_of_model = label(*patients.iloc[0][["model", "iteration"]])
    if name_of_model not in folders:
        return [], f"no folder holds the masks of {name_of_model}"
    drawn, faults = [], []
    for name, one in worst_median_best(patients).items():
        row = patients[patients["id"] == one].iloc[0]
        try:
            case = _read_case(one, Path(references), Path(folders[name_of_model]), row["dice_3d"])
            drawn.append(
                {
                    "name": name,
                    "id": one,
                    "dice": row["dice_3d"],
                    "picture": _uri(panels.draw_panels([case]), "png"),
                }
            )
        except (DataError, KeyError, OSError) as error:
            faults.append(f"{one}: {error}")
    return drawn, "; ".join(faults)


def _read_case(one, references_dir, predictions_dir, dice):
    """:raises DataError: a file cannot be read, or there is no CT."""
    manifest = files.read_manifest(references_dir)
    records = {record["id"]: record for record in manifest["patients"]}
    known = cases.find_references(references_dir)[0][one]
    prediction, mask, affine = cases.read_pair(
        predictions.find(predictions_dir)[one], known.path, known.coarse
    )
    image = nib.load(references_dir / records[one]["files"]["image"])
    return panels.Case(
        one,
        planes.Grid(np.asanyarray(image.dataobj), image.affine),
        planes.Grid(prediction, affine),
        planes.Grid(mask, affine),
        dice,
    )


def _rows_of(patients, row):
    """The rows of the model and iteration that a row of the cohort is of."""
    return patients[
        [
            label(*keys) == label(row["model"], row["iteration"])
            for keys in zip(patients["model"], patients["iteration"], strict=True)
        ]
    ]


def _volumes(patients):
    return patients["predicted_ml"].to_numpy(), patients["reference_ml"].to_numpy()


def _grouped(table, column):
    """Values of a column by (model, iteration or None), in the table's order."""
    return {
        (model, _iteration(iteration)): rows[column].to_numpy()
        for (model, iteration), rows in table.groupby(
            ["model", "iteration"], dropna=False, sort=False
        )
    }


def _iteration(value):
    return None if pd.isna(value) else int(value)


def _with_paper(cohort, columns, published):
    """Our rows of a table, each with the paper's iteration and numbers to stand beside, or None.

    Ours end with the bounds of the mean in the first column.
    """
    rows = []
    for _, row in cohort.iterrows():
        key = row["model"], _iteration(row["iteration"])
        bounds = " to ".join(
            shown(row[f"{columns[0].removesuffix('_mean')}_{end}"]) for end in ("low", "high")
        )
        rows.append(
            {
                "name": paper.PAPER_NAMES.get(key[0], key[0]),
                "iteration": key[1],
                "ours": [*(row[column] for column in columns), bounds],
                "paper": paper.row_of(published, *key),
            }
        )
    return rows


def _uri(content, kind):
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def shown(value):
    """A value as the report writes it; undefined is a dash."""
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return "–"
    if isinstance(value, (float, np.floating)):
        return ("∞" if value > 0 else "-∞") if math.isinf(value) else f"{value:.3f}"
    return str(value)


def sort_key(value):
    """A value as the table sorts it: JavaScript's number, text as it is, undefined as nothing."""
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return ""
    if isinstance(value, (float, np.floating)) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return str(value)


def _environment():
    environment = Environment(
        loader=PackageLoader("niftynet_ext.evaluation", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "sort_key": sort_key}
    return environment
