"""The report's charts, as SVG: arrays and tables in, bytes out."""

import io
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from data_prep.core.colours import OKABE_ITO
from niftynet_ext.core import paper
from niftynet_ext.study.curves import LOG_FOLDERS, Curve, Training, smooth

MAX_DOTS = 300
"""More dots than this are drawn as pixels: thousands of slices would make a file of megabytes."""

SMOOTHED_PARTS = 50
"""A smoothed loss is the mean over 1/50 of the curve's points."""


def learning_curves(trainings: Mapping[str, Training]) -> bytes:
    """Draw all rounds of each training over one axis of iterations, with logarithmic losses.

    Thin lines: as logged; thick lines: smoothed; dashed verticals: where the loss was switched.

    :param trainings: by the name of the model
    :return: SVG
    """
    figure, panels = _panels(len(trainings), 1, (9.5, 2.6))
    for ax, (name, training) in zip(panels, trainings.items(), strict=True):
        curves = (training.training, training.validation)
        for curve, colour, label in zip(curves, OKABE_ITO, LOG_FOLDERS, strict=False):
            if len(curve.losses):
                ax.plot(curve.iterations, curve.losses, color=colour, alpha=0.25, linewidth=0.7)
                ax.plot(
                    curve.iterations,
                    _smooth_stages(curve, training.stages),
                    color=colour,
                    linewidth=1.8,
                    label=label,
                )
        start = 0
        for stage in training.stages:
            if start:
                ax.axvline(start, color="#555555", linewidth=1, linestyle="--")
            ax.annotate(
                stage.loss,
                ((start + stage.last) / 2, 1.02),
                ha="center",
                xycoords=("data", "axes fraction"),
                size=8,
            )
            start = stage.last
        ax.set(title=f"{_name(name)}\n", ylabel="loss", yscale="log")
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="upper right", frameon=False)
    panels[-1].set_xlabel("iteration")
    return _svg(figure)


def _smooth_stages(curve: Curve, stages: Sequence[paper.Stage]) -> np.ndarray:
    """Smooth the losses, each among those of its own stage."""
    switches = np.searchsorted(curve.iterations, [stage.last for stage in stages], side="right")
    width = max(len(curve.losses) // SMOOTHED_PARTS, 3) | 1
    return np.concatenate([smooth(part, width) for part in np.split(curve.losses, switches)])


def boxes(groups: Mapping[tuple[str, int | None], npt.ArrayLike], ylabel: str) -> bytes:
    """Draw quartiles as a box, 1.5 of their range as whiskers, values as dots, means as crosses.

    :param groups: values (n,) by model and iteration; nan is left out
    :param ylabel: what the values are
    :return: SVG
    """
    figure, (ax,) = _panels(1, 1, (max(4.5, 1.2 + 0.8 * len(groups)), 3.6))
    models = list(dict.fromkeys(model for model, _ in groups))
    for place, ((model, _), of_group) in enumerate(groups.items()):
        values = np.asarray(of_group, float)
        values = values[~np.isnan(values)]
        colour = OKABE_ITO[models.index(model) % len(OKABE_ITO)]
        if len(values):
            spread = 0.16 * np.sin(np.arange(len(values)) * 2.4)  # dots beside each other
            ax.scatter(
                place + spread,
                values,
                s=7,
                color=colour,
                linewidth=0,
                alpha=min(0.4, MAX_DOTS / len(values)),
                rasterized=len(values) > MAX_DOTS,
            )
            ax.boxplot(
                values,
                positions=[place],
                widths=0.55,
                showfliers=False,
                showmeans=True,
                medianprops={"color": colour, "linewidth": 2.5},
                meanprops={"marker": "x", "markeredgecolor": "black"},
            )
    ax.set_xticks(range(len(groups)), [_tick(*key) for key in groups], size=8)
    ax.set(ylabel=ylabel, ylim=(-0.03, 1.03))
    ax.grid(axis="y", alpha=0.3)
    return _svg(figure)


def bland_altman(groups: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]]) -> bytes:
    """Draw the difference of two volumes over their mean, its mean and its mean +- 1.96 SD.

    :param groups: predicted and reference volumes in mL, both (patients,), by title
    :return: SVG
    """
    figure, panels = _panels(1, len(groups), (3.6, 3.3))
    for place, (ax, (title, volumes)) in enumerate(zip(panels, groups.items(), strict=True)):
        predicted, reference = (np.asarray(volumes_ml, float) for volumes_ml in volumes)
        difference = predicted - reference
        bias, limits = limits_of_agreement(difference)
        ax.scatter(
            (predicted + reference) / 2,
            difference,
            s=14,
            linewidth=0,
            color=OKABE_ITO[place % len(OKABE_ITO)],
            alpha=0.7,
        )
        for value, style in ((bias, "-"), (limits[0], "--"), (limits[1], "--")):
            ax.axhline(value, color="#333333", linestyle=style, linewidth=1)
            ax.annotate(
                f"{value:+.1f}",
                (1, value),
                (2, 0),
                textcoords="offset points",
                xycoords=("axes fraction", "data"),
                va="center",
                size=8,
            )
        ax.set(title=title, xlabel="mean of both, mL")
    panels[0].set_ylabel("prediction - reference, mL")
    return _svg(figure)


def limits_of_agreement(difference: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Measure the bias and the limits of agreement (Bland and Altman 1986).

    :param difference: (n,)
    :return: mean, and (mean - 1.96 SD, mean + 1.96 SD) with the sample's SD (0 for one value)
    """
    bias = float(np.mean(difference))
    spread = 1.96 * float(np.std(difference, ddof=1)) if len(difference) > 1 else 0.0
    return bias, (bias - spread, bias + spread)


def _name(model: str) -> str:
    return paper.PAPER_NAMES.get(model, model)


def _tick(model: str, iteration: int | None) -> str:
    words = _name(model).replace("DenseHighRes3DNet", "DHR3DNet")
    return words if iteration is None else f"{words}\n{iteration:,}"


def _panels(rows: int, columns: int, size_in: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(columns * size_in[0], rows * size_in[1]), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> bytes:
    FigureCanvasSVG(figure)
    content = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "niftynet_ext"}):  # the same bytes each time
        figure.savefig(content, format="svg", metadata={"Date": None}, dpi=150)
    return content.getvalue()
