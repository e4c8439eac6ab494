"""The icons, drawn by us: SVG path data on a square of 24, lines of 1.8 with round ends."""

PATHS = {
    # Player.
    "play": "M8 5.2v13.6L19 12z",
    "pause": "M8.5 5.5v13M15.5 5.5v13",
    "stop": "M7 7h10v10H7z",
    "step-back": "M17.5 6v12l-8-6zM6.5 6v12",
    "step-forward": "M6.5 6v12l8-6zM17.5 6v12",
    "slower": "M11.5 7v10L5 12zM19 7v10l-6.5-5z",
    "faster": "M5 7v10l6.5-5zM12.5 7v10L19 12z",
    "volume": (
        "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11"
    ),
    "muted": "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5",
    "range-start": "M9 5H5.5v14H9M12 12h8M16.5 8.5L20 12l-3.5 3.5",
    "range-end": "M15 5h3.5v14H15M12 12H4M7.5 8.5L4 12l3.5 3.5",
    "fullscreen": "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
    # What a clip is, and what of it is used.
    "film": "M4 5h16v14H4zM8 5v14M16 5v14M4 9.7h4M4 14.3h4M16 9.7h4M16 14.3h4",
    "picture": "M4 5h16v14H4zM4 16l4.5-4.5 4 4 2.5-2.5 5 5M15.2 9.2h.1",
    "sound": "M4 10.5v3M8 7v10M12 4v16M16 8v8M20 10.5v3",
    "picture-sound": (
        "M3.5 5h17v9h-17zM3.5 11.5L8 8l4 4 2.5-2 6 4M5 17.5v3M9 16.8v4.4M13 17.5v3M17 16.8v4.4"
    ),
    "frames": "M7 7V4h13v10h-3M4 7h13v13H4zM4 16l4-3.5 4 3.5 2-1.5 3 2.5",
    "camera": "M4 7h10v10H4zM14 11l6-3.5v9L14 13",
    "microphone": (
        "M12 4a2.5 2.5 0 0 1 2.5 2.5v5a2.5 2.5 0 0 1-5 0v-5A2.5 2.5 0 0 1 12 4z"
        "M6.5 11.5a5.5 5.5 0 0 0 11 0M12 17v3.5"
    ),
    # Files and folders.
    "open": "M4 18.5V6h5.5l2 2.5H19v3M4 18.5L7 11.5h14l-3 7z",
    "folder": "M4 6h5.5l2 2.5H20v10H4z",
    "file": "M7 4h7l4 4v12H7zM14 4v4h4",
    "import": "M12 4v10.5M7.5 10.5L12 15l4.5-4.5M4.5 15v4.5h15V15",
    "export": "M12 15V4.5M7.5 8.5L12 4l4.5 4.5M4.5 15v4.5h15V15",
    "trash": "M4.5 7h15M9 7V4.5h6V7M6.5 7l1 12.5h9l1-12.5M10.3 10.5v5.5M13.7 10.5v5.5",
    # Words.
    "send": "M12 19.5v-14M6 11.5l6-6 6 6",
    "chat": "M4 5h16v11h-8.5L7 19.5V16H4z",
    "copy": "M9 8.5h10.5V20H9zM15 8.5V4H4.5v11.5H9",
    "edit": "M5 19l1-4L16.5 4.5l3 3L9 18zM14 7l3 3",
    "regenerate": "M19.5 12a7.5 7.5 0 1 1-2.3-5.4M19.8 4v4.5h-4.5",
    "undo": "M8.5 5L4.5 9l4 4M4.5 9H14a5 5 0 0 1 0 10.2H9",
    "reset": "M4.5 12a7.5 7.5 0 1 0 2.3-5.4M4.2 4v4.5h4.5",
    "search": "M10.5 4.5a6 6 0 1 1 0 12 6 6 0 0 1 0-12zM15 15l5 5",
    "receipt": "M6 3.5h12v17l-2-1.5-2 1.5-2-1.5-2 1.5-2-1.5-2 1.5zM9 8h6M9 12h6",
    # The window.
    "settings": (
        "M4 7h8M16 7h4M14 4.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4zM4 17h4M12 17h8"
        "M10 14.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4z"
    ),
    "models": "M12 3.5l7.5 4.2v8.6L12 20.5l-7.5-4.2V7.7zM4.7 7.8L12 12l7.3-4.2M12 12v8.3",
    "device": "M7 7h10v10H7zM10 4v3M14 4v3M10 17v3M14 17v3M4 10h3M4 14h3M17 10h3M17 14h3",
    "history": "M12 4.5a7.5 7.5 0 1 1-7.3 5.8M4.2 5.5v5h5M12 8v4.5l3 1.8",
    "sidebar": "M4 5h16v14H4zM9.5 5v14",
    "command": "M4 5.5h16v13H4zM7.5 9.5l3 2.5-3 2.5M12.5 15H16",
    "keyboard": "M3.5 7h17v10.5h-17zM7 10.5h.1M10.4 10.5h.1M13.7 10.5h.1M17 10.5h.1M8 14h8",
    "more": "M5.2 12h.6v.2h-.6zM11.7 12h.6v.2h-.6zM18.2 12h.6v.2h-.6z",
    "plus": "M12 5v14M5 12h14",
    "close": "M6 6l12 12M18 6L6 18",
    "dot": "M12 8.2a3.8 3.8 0 1 1 0 7.6 3.8 3.8 0 0 1 0-7.6z",
    "check": "M5 12.5l4.5 4.5L19 7.5",
    "chevron-down": "M6.5 9.5L12 15l5.5-5.5",
    "chevron-up": "M6.5 14.5L12 9l5.5 5.5",
    "chevron-left": "M14.5 6.5L9 12l5.5 5.5",
    "chevron-right": "M9.5 6.5L15 12l-5.5 5.5",
    "offline": (
        "M4 12.5h0M7 9.5a8 8 0 0 1 4-2M14 7.8a8 8 0 0 1 3 1.7M9.8 12.8a3.6 3.6 0 0 1 4.4 0"
        "M12 16.5h.1M4.5 4.5l15 15"
    ),
    "info": "M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM12 11v5M12 8h.1",
    "warning": "M12 4.5l8.5 14.7h-17zM12 10v4.2M12 16.8h.1",
    "error": "M8.7 4h6.6L20 8.7v6.6L15.3 20H8.7L4 15.3V8.7zM12 8v4.8M12 15.8h.1",
    "done": "M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM8.3 12.3l2.6 2.6 4.8-5",
    "build": (
        "M14.5 4.5a4.5 4.5 0 0 0-4 6.4L4.5 17l2.5 2.5 6.1-6a4.5 4.5 0 0 0 6.2-5.3l-2.8"
        " 2.6-2.7-.6-.6-2.7 2.8-2.6a4.5 4.5 0 0 0-1.5-.4z"
    ),
    "question": (
        "M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM9.8 9.8a2.3 2.3 0 1 1 3.2 2.1c-.7.3-1 .8-1 1.6"
        "M12 16.5h.1"
    ),
}
# Drawn as areas, since their lines would be mistaken for their outlines.
FILLED = frozenset({"play", "stop", "step-back", "step-forward", "slower", "faster", "dot"})
