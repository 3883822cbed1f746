"""White space that no reader needs: at the ends of lines, runs of empty lines, double spaces.

Code is left as it is: what stands in fences, or is indented. So are columns aligned by three spaces
and more. The words are all there, but the blanks cannot be put back: this is no lossless form.
"""

from __future__ import annotations

import re

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_INDENTED = (" ", "\t")
_DOUBLE_SPACE = re.compile(r"(?<=\S)  (?=\S)")
_ALIGNED = "   "


def squeeze(text: str) -> str:
    """The text without trailing blanks, with at most one empty line in a row."""
    kept: list[str] = []
    fence = ""
    for line in text.replace("\r\n", "\n").split("\n"):
        mark = _FENCE.match(line)
        if mark and (not fence or line.strip().startswith(fence)):
            fence = "" if fence else mark[1]
            kept.append(line.rstrip())
        elif fence:
            kept.append(line)
        else:
            _keep(kept, line.rstrip())
    while kept and not kept[-1] and not fence:
        kept.pop()
    return "\n".join(kept)


def _keep(kept: list[str], line: str) -> None:
    if not line:
        if kept and kept[-1]:
            kept.append("")
        return
    if not line.startswith(_INDENTED) and _ALIGNED not in line:
        line = _DOUBLE_SPACE.sub(" ", line)
    kept.append(line)
