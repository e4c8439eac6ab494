"""Tooltips of text that comes from outside: names of files, of bundles, of devices."""

from html import escape


def plain_tip(text: str) -> str:
    """A tooltip that shows a text as it stands; Qt would take what looks like HTML for it."""
    return f"<span>{escape(text)}</span>" if "<" in text or "&" in text else text
