"""Pictures of what a test saw over time, drawn by gnuplot: for people to look at; nothing is asserted from them."""

import os
import shutil
import subprocess

from . import paths

_COLOURS = ("#1f5fa8", "#c0392b", "#2e8b57", "#8e6bbf", "#d08a1d", "#555555")


class Panel:
    """One diagram: curves over seconds, marks, horizontal lines."""

    def __init__(self, title, unit):
        self.title, self.unit, self.parts, self.data, self.lines = title, unit, [], [], []

    def curve(self, name, points, style="steps", width=1.5):
        """points: [(seconds, value)]; style: "steps", "lines", "points", "impulses"."""
        if points:
            colour = _COLOURS[len(self.parts) % len(_COLOURS)]
            look = f"pt 7 ps 0.35 lc rgb '{colour}'" if style == "points" else f"lw {width} lc rgb '{colour}'"
            self.parts.append(f"'-' using 1:2 with {style} {look} title '{name}'")
            self.data.append("".join(f"{at:.4f} {value}\n" for at, value in points) + "e\n")
        return self

    def level(self, name, value):
        """A limit, or another value that does not change."""
        self.lines.append((name, value))
        return self


def draw(path, title, panels, phases, end):
    """Writes a PNG. phases: [(seconds, name)], each lasts until the next. Returns the path."""
    program = shutil.which("gnuplot")
    if program is None:
        raise FileNotFoundError("gnuplot: run deploy/install-packages test")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    text = [f"set terminal png size 1200,{260 * len(panels) + 40}", f"set output '{path}'",
            f"set multiplot layout {len(panels)},1 title '{title}'", f"set xrange [0:{end:.3f}]", "set yrange [0:*]",
            "set offsets 0, 0, graph 0.15, 0", "set grid ytics lc rgb '#dddddd'", "set key outside right top", "set lmargin 10", "set rmargin 24"]
    for panel in panels:
        text += ["unset arrow", "unset label", f"set title '{panel.title}'", f"set ylabel '{panel.unit}'"]
        for at, name in phases:
            text.append(f"set arrow from {at:.3f}, graph 0 to {at:.3f}, graph 1 nohead dt 2 lc rgb '#999999'")
            text.append(f"set label '{name}' at {at:.3f}, graph 0.94 offset 0.5 tc rgb '#666666'")
        limits = [f"{value} with lines dt 2 lw 1 lc rgb '#000000' title '{name}'" for name, value in panel.lines]
        text.append("plot " + ", ".join(limits + panel.parts))
        text += panel.data
    done = subprocess.run([program], input="\n".join(text + ["unset multiplot", ""]).encode(), capture_output=True, timeout=60, check=False)
    if done.returncode != 0 or not os.path.exists(path):
        raise OSError(f"gnuplot: {done.stderr.decode(errors='replace')}")
    return path


def place(name):
    """Where a test leaves its picture: beside the logs of tests."""
    return os.path.join(paths.BUILD, "test-logs", name)
