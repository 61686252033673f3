"""How calls begin in forms that have no marker for it."""

from __future__ import annotations

from portico.text.tools.format import Opening
from portico.text.tools.lark import ANY

SPACE = r"[ \t\r\n]*"
FEW_SPACES = r"[ \t\r\n]{0,8}"
NAMED = rf'"name"{SPACE}:{SPACE}"NAME"'


def json_opening(arguments: str) -> Opening:
    """An object whose first key is the tool's name, behind no more than that it is a function."""
    kind = rf'("type"{SPACE}:{SPACE}"function"{SPACE},{SPACE})?'
    return Opening(
        rf"{ANY}\{{{SPACE}{kind}{NAMED}",
        rf'{FEW_SPACES},{FEW_SPACES}"{arguments}"[ ]?:[ ]?',
        rf"{FEW_SPACES}\}}",
        never=NAMED,
    )
