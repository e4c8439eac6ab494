"""docs/settings.md, drawn from the table: `python -m tests.settings_doc` writes it anew."""

from pathlib import Path

from app.settings import FIELDS, Field, Settings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
_HEAD = """\
# Settings

Drawn from the table in `app/settings_table.py` (`python -m tests.settings_doc`); the settings page
shows the same texts.

The file is `settings.json` in the user's configuration folder (Linux: `~/.config/vl2-desktop`). It
is replaced whole at each change. A file that cannot be read is kept aside under the name
`settings-damaged-`date, a value that cannot be is replaced by its default; the window says either.
Keys that the program does not know are kept, so that starting an older version once costs a newer
one nothing.

Conversations are in `history.sqlite` in the user's data folder (Linux:
`~/.local/share/vl2-desktop`), readable for that user alone; imported models are in `bundles` beside
it. A damaged history is kept aside likewise. Where the folder cannot be written to, conversations
last until the program ends, and the window says so. What is deleted is overwritten when the program
ends.

What is kept to be quicker, and the log, may be deleted at any time; `vl2 doctor` says where it is
and how large. In safe mode (`vl2 --safe-mode`) the settings stay as they are, but the model runs on
the CPU and without such copies, and camera and microphone stay off.
"""


def page() -> str:
    """The whole page."""
    groups = list(dict.fromkeys(row.group for row in FIELDS if row.group))
    parts = [_HEAD]
    for group in groups:
        rows = [_row(row) for row in FIELDS if row.group == group]
        parts.append(
            "\n".join(
                [f"## {group}\n", "| setting | default | possible | |", "|---|---|---|---|", *rows]
            )
            + "\n"
        )
    remembered = ", ".join(f"`{row.name}`" for row in FIELDS if not row.group)
    parts.append(f"Remembered by the window itself: {remembered}.\n")
    return "\n".join(parts)


def _row(row: Field) -> str:
    default = getattr(Settings(), row.name)
    shown = row.none_label if default is None else _value(row, default)
    return f"| {row.label} (`{row.name}`) | {shown} | {_possible(row)} | {row.explanation} |"


def _value(row: Field, value: object) -> str:
    labels = dict(row.choices)
    if row.kind == "choice":
        return labels[str(value)]
    if row.kind == "bool":
        return "on" if value else "off"
    if isinstance(value, int | float):
        return f"{value:g}"
    return str(value or "none")


def _possible(row: Field) -> str:
    if row.kind == "choice":
        return ", ".join(f"`{value}`" for value, _ in row.choices)
    if row.kind == "bool":
        return "on, off"
    if row.kind == "list":
        return f"up to {row.maximum:g} folders"
    if row.minimum is None or row.maximum is None:
        return "a folder"
    return f"{_number(row.minimum)} to {_number(row.maximum)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
