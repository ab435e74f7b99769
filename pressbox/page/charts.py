"""The pictures of the page: matplotlib draws them as SVG, the page's style sheet colours them.

matplotlib never sees the text of a model, in which it would look for formulas and glyphs: it draws
a number for each label, which is then replaced by the escaped label.
"""

import atexit
import io
import math
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path

from markupsafe import Markup, escape

from pressbox.errors import SPACE, visible
from pressbox.page.figures import counted, percent

# The image holds the list of matplotlib's own fonts: making it takes 0.3 s.
FONTS = Path(sys.prefix) / "share" / "matplotlib"
# What stands for the colours of the style sheet while matplotlib draws.
INKS = ("ink", "quiet", "faint", "accent", "cell", "miss", "paper", "rule")
COLOURS = {name: f"#0000{number:02x}" for number, name in enumerate(INKS, 1)}
CLASSES = {colour: name for name, colour in COLOURS.items()}
FONT_SIZE, LETTER = 12, 7.5  # pixels; how wide a letter is, for the margins
MAX_LABEL_CHARACTERS = 24
# With more labels there is no picture.
MAX_DRAWN_LABELS = 60


@dataclass(frozen=True)
class Picture:
    """An SVG's content, its size in pixels, and its words for those who cannot see it."""

    title: str
    text: str
    width: int
    height: int
    drawing: Markup


def _undisturbed(draw):
    """Draw with matplotlib's own settings, whatever a notebook has set."""

    @wraps(draw)
    def drawn(*arguments):
        matplotlib = prepare()
        settings: dict = {**matplotlib.rcParamsDefault, "svg.fonttype": "none", "svg.hashsalt": "-"}
        # It would not be restored afterwards, and SVG needs none.
        del settings["backend"]
        with matplotlib.rc_context(settings):
            return draw(*arguments)

    return drawn


@_undisturbed
def confusion(counts: list[list[int]], labels: list[str]) -> Picture | None:
    """The confusion matrix, y_true x y_pred; None if there are too many labels to draw."""
    size = len(labels)
    if size > MAX_DRAWN_LABELS:
        return None
    names = [_shortened(label) for label in labels]
    cell = 36 if size <= 16 else 26
    widths = [round(LETTER * len(name)) for name in names]
    left, top = max(104, *widths) + 16, max(64, round(0.75 * max(widths))) + 20
    # The names of the columns lean to the right, the last ones beyond the table.
    reach = max(round(0.75 * width) - cell * (size - number) for number, width in enumerate(widths))
    canvas = _Canvas(left + size * cell + max(0, reach) + cell, top + size * cell + 4, names)
    axes = canvas.axes((left, top, size * cell, size * cell), (0, size), (size, 0))
    canvas.rectangle(axes, (0, 0, size, size), "faint")
    for row, entries in enumerate(counts):
        for column, count in enumerate(entries):
            if count:
                # Never so strong that the number on it could not be read.
                strength = 0.15 + 0.5 * count / sum(entries)
                ink = "cell" if row == column else "miss"
                canvas.rectangle(axes, (column, row, 1, 1), ink, strength)
                canvas.text(axes, (column + 0.5, row + 0.5), str(count))
    for line in range(size + 1):
        canvas.line(axes, [0, size], [line, line], "paper", 2)
        canvas.line(axes, [line, line], [0, size], "paper", 2)
    gap = 8 / cell
    for number in range(size):
        canvas.label(axes, (-gap, number + 0.5), number, ha="right", va="center")
        canvas.label(axes, (number + 0.6, -gap), number, ha="left", va="baseline", rotation=45)
    corner: dict = {"ink": "quiet", "ha": "right", "va": "baseline"}
    canvas.text(axes, (-gap, -gap - 18 / cell), "the model said →", **corner)
    canvas.text(axes, (-gap, -gap), "it is about ↓", **corner)
    right = sum(row[number] for number, row in enumerate(counts))
    total = sum(map(sum, counts))
    return canvas.picture(
        "What the texts are about, and what the model said",
        f"A table of {size} by {size}: {right} of {total} texts are on its diagonal.",
    )


@_undisturbed
def reliability(bins: list[list]) -> Picture:
    """How often predictions are right, over the probability they were given."""
    canvas = _Canvas(346, 332, [])
    axes = canvas.axes((52, 32, 272, 244), (0, 1), (0, 1))
    for tick in (0, 0.25, 0.5, 0.75, 1):
        canvas.line(axes, [0, 1], [tick, tick], "rule", 1)
        canvas.text(axes, (-0.03, tick), f"{100 * tick:.0f}%", "quiet", ha="right")
        canvas.text(axes, (tick, -0.035), f"{100 * tick:.0f}%", "quiet", va="top")
    canvas.line(axes, [0, 1], [0, 1], "quiet", 1, (4, 4))
    said, was, count = zip(*bins, strict=True)
    canvas.line(axes, said, was, "accent", 1.5)
    most = max(count)
    for place, number in zip(zip(said, was, strict=True), count, strict=True):
        canvas.disc(axes, place, 3 + 5 * math.sqrt(number / most))
    canvas.text(axes, (0.5, -0.12), "how confident it was", va="top")
    canvas.text(axes, (-0.16, 1.07), "how often it was right", va="bottom", ha="left")
    shares = ((percent(counted(share, count)), percent(mean)) for mean, share, count in bins)
    points = ", ".join(f"{right} at {said}" for right, said in shares)
    return canvas.picture(
        "How often the model is right, by its confidence",
        f"A curve over {len(bins)} groups of texts. Right: {points}. The table has the figures.",
    )


def _shortened(label: str) -> str:
    return label if len(label) <= MAX_LABEL_CHARACTERS else label[: MAX_LABEL_CHARACTERS - 1] + "…"


class _Canvas:
    """A figure whose unit is the CSS pixel."""

    def __init__(self, width: int, height: int, names: list[str]):
        from matplotlib.figure import Figure

        self.width, self.height, self.names = width, height, names
        self.figure = Figure((width / 72, height / 72), dpi=72, frameon=False)

    def axes(self, box: tuple, across: tuple, down: tuple):
        """Bare axes in the box (left, top, width, height), with the limits of their values."""
        left, top, width, height = box
        bottom = self.height - top - height
        place = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(place, xlim=across, ylim=down)
        axes.set_axis_off()
        return axes

    def rectangle(self, axes, box: tuple, ink: str, opacity: float = 1) -> None:
        from matplotlib.patches import Rectangle

        left, top, width, height = box
        axes.add_patch(
            Rectangle(
                (left, top),
                width,
                height,
                facecolor=COLOURS[ink],
                alpha=opacity,
                linewidth=0,
                clip_on=False,
            )
        )

    def disc(self, axes, place: tuple, radius: float) -> None:
        from matplotlib.patches import Ellipse

        box = axes.get_window_extent()
        width, height = 2 * radius / box.width, 2 * radius / box.height
        axes.add_patch(
            Ellipse(place, width, height, facecolor=COLOURS["accent"], linewidth=0, clip_on=False)
        )

    def line(self, axes, x, y, ink: str, width: float, dashes: tuple = ()) -> None:
        style = (0, dashes) if dashes else "solid"
        axes.plot(x, y, color=COLOURS[ink], linewidth=width, linestyle=style, clip_on=False)

    def text(self, axes, place: tuple, text: str, ink="ink", rotation=0, **alignment) -> None:
        axes.text(
            *place,
            text,
            color=COLOURS[ink],
            fontsize=FONT_SIZE,
            rotation=rotation,
            rotation_mode="anchor",
            **{"ha": "center", "va": "center", **alignment},
        )

    def label(self, axes, place: tuple, number: int, **options) -> None:
        self.text(axes, place, f"label-{number}-", **options)

    def picture(self, title: str, text: str) -> Picture:
        file = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        self.figure.savefig(file, format="svg", metadata=nothing)
        drawing = re.sub(r"\n *", " ", _content(file.getvalue()))
        drawing = re.sub(r"label-(\d+)-", lambda found: self._named(int(found[1])), drawing)
        return Picture(title, text, self.width, self.height, Markup(drawing))  # noqa: S704

    def _named(self, number: int) -> str:
        return str(escape(visible(self.names[number], but=SPACE)))


def _content(svg: str) -> str:
    """What is drawn, without matplotlib's own styles, which the page's policy forbids, and ids."""
    inner = svg[svg.index("</defs>") + len("</defs>") : svg.rindex("</svg>")]
    return re.sub(r' style="([^"]*)"', _attributes, re.sub(r' id="[^"]*"', "", inner))


def _attributes(style: re.Match) -> str:
    """A style attribute as SVG's presentation attributes and the page's classes."""
    classes, attributes = [], []
    for declaration in style[1].split("; "):
        name, value = declaration.split(": ")
        if value in CLASSES:
            classes.append(f"{name}-{CLASSES[value]}")
        elif name != "font-family":
            attributes.append(f' {name}="{value}"')
    return f' class="{" ".join(classes)}"' * bool(classes) + "".join(attributes)


@cache
def prepare():
    """matplotlib, imported without a trace.

    It needs a folder to write to and a list of fonts, warns where HOME is not writable, and reads
    settings from there: it gets a temporary folder, with the image's list.
    """
    if "matplotlib" in sys.modules:
        import matplotlib.figure

        return matplotlib
    folder = tempfile.mkdtemp(prefix="matplotlib-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copytree(FONTS, folder, dirs_exist_ok=True)
    # Not by mock.patch.dict, which empties the whole environment for a moment, in which another
    # thread may start a program.
    before = os.environ.get("MPLCONFIGDIR")
    os.environ["MPLCONFIGDIR"] = folder
    try:
        import matplotlib.figure
    finally:
        del os.environ["MPLCONFIGDIR"]
        if before is not None:
            os.environ["MPLCONFIGDIR"] = before
    return matplotlib
