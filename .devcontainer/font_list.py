"""Writes matplotlib's list of its own fonts to MPLCONFIGDIR, in an order that is always the same.

The image's build runs this file: else each training would make the list, in the order of the disk.
"""

from pathlib import Path

import matplotlib
from matplotlib import font_manager

manager = font_manager.fontManager
for fonts in (manager.ttflist, manager.afmlist):
    fonts.sort(key=lambda font: (font.fname, font.index))
name = f"fontlist-v{font_manager.FontManager.__version__}.json"
font_manager.json_dump(manager, Path(matplotlib.get_configdir(), name))
