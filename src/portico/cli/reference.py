"""`python -m portico.cli.reference`: every flag of `portico serve` as a Markdown page, from its declaration."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from portico.config.option import Option, flag
from portico.config.options import idle, limited
from portico.config.overrides import KEYS
from portico.config.serve import serve_options

HEAD = """# Flags of `portico serve`

Made from their declarations by `make reference`. All spellings of a flag stand in its row; underscores do too
(`--max_model_len`). In the environment it is the first spelling, `--max-model-len` as `PORTICO_MAX_MODEL_LEN` (a switch
is `true` or `false`); `--config file.yaml` (`PORTICO_CONFIG`) is a mapping of any of the spellings without the dashes.
The command line comes first, then the environment, then the file. An unknown flag or key, or a value that cannot be,
ends the program with status 2 and says what would be right. Commands of other servers: [migrate.md](migrate.md).
"""
LIMITED = """Portico has a part of these: the values of the second column work, others are refused with the third."""
IDLE = """These can do nothing here and do no harm; giving one is logged, with the reason."""
OVERRIDES = (
    """`--overrides "key=value;key=value"` (in a file also a mapping) takes the keys of MLC LLM; each is a flag."""
)


def page() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield HEAD.rstrip()
    for group, options in groupby(serve_options(), key=lambda option: option.spec.group):
        yield f"\n## {group[0].upper()}{group[1:]}\n"
        match group:
            case limited.GROUP:
                yield f"{LIMITED}\n\n| flag | values | otherwise |\n|---|---|---|"
            case idle.GROUP:
                yield f"{IDLE}\n\n| flag | why |\n|---|---|"
            case _:
                yield "| flag | meaning | default |\n|---|---|---|"
        yield from map(_row, options)
    yield f"\n## Keys of --overrides\n\n{OVERRIDES}\n\n| key | flag |\n|---|---|"
    yield from (f"| `{key}` | `{flag(name)}` |" for key, name in KEYS.items())


def _row(option: Option) -> str:
    spec = option.spec
    if spec.idle is not None:
        return f"| {_flags(option)} | {_cell(spec.idle)} |"
    if spec.limited:
        return f"| {_flags(option)} | {_values(option)} | {_cell(spec.help)} |"
    default = option.default
    shown = (
        {True: "on", False: "off"}[default] if option.is_switch else "" if default in (None, (), "") else f"{default}"
    )
    return f"| {_flags(option)} | {_cell(spec.help)} | {shown} |"


def _flags(option: Option) -> str:
    spellings = [*option.flags, *(option.off_flags if option.default else ())]
    valued = [f"{spelling} {metavar}" for spelling, metavar in option.spec.valued]
    words = [f"`{word}` (the value {value})" for word, value in option.spec.words]
    return ", ".join([*(f"`{text}`" for text in (*spellings, *valued)), *words])


def _values(option: Option) -> str:
    if option.is_switch:
        return "on" if option.default else "off"
    return (option.spec.metavar or "").strip("{}").replace(",", ", ").replace("VALUE", "none")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


if __name__ == "__main__":
    print(page(), end="")
