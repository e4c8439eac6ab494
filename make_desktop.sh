#!/bin/sh
# What the window and its tests need of the system, beside the virtual environment in $1: the libraries
# that Qt's wheels leave to it, a font, a screen that nobody sees (Xvfb), key presses (xdotool), and a
# microphone that nobody speaks into (PulseAudio's null sink, through ALSA and PortAudio).
# Installs Debian's packages where it may, else says in one line what is missing.
set -eu
venv=$1

packages="libegl1 libgl1 libfontconfig1 libglib2.0-0 libgssapi-krb5-2 libpulse0 libdbus-1-3 libx11-xcb1
 libxrandr2 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-randr0 libxcb-shape0
 libxcb-shm0 libxcb-sync1 libxcb-xfixes0 fonts-dejavu-core xvfb xauth xdotool strace
 pulseaudio pulseaudio-utils libasound2-plugins libportaudio2"

# Loads what draws the window, plays clips, and talks to X; prints what is missing, nothing when all is there.
missing() {
    QT_QPA_PLATFORM=offscreen "$venv/bin/python" 2>/dev/null - <<'END'
import ctypes
from pathlib import Path

try:
    import PySide6
    from PySide6 import QtMultimedia, QtNetwork, QtSvg, QtWidgets

    plugins = Path(PySide6.__file__).parent / "Qt" / "plugins"
    for name in ("platforms/libqxcb.so", "multimedia/libffmpegmediaplugin.so"):
        if (plugins / name).exists():
            ctypes.CDLL(str(plugins / name))
    import sounddevice
except (ImportError, OSError) as error:
    print(error)
END
    for program in xvfb-run xauth xdotool strace pulseaudio pacat; do
        command -v $program >/dev/null || echo "there is no $program"
    done
    find /usr/lib* -name libasound_module_pcm_pulse.so 2>/dev/null | grep -q . || echo "ALSA does not know PulseAudio"
    find /usr/share/fonts "${HOME:-/}/.fonts" -name '*.[to]tf' 2>/dev/null | grep -q . || echo "there is no font"
}

lacking=$(missing)
[ -n "$lacking" ] || exit 0
[ "$(uname -s)" = Linux ] || { echo "The window's tests need: $lacking" >&2; exit 1; }

install="apt-get install -y --no-install-recommends $(echo $packages)"
if ! command -v apt-get >/dev/null; then
    echo "The window's tests lack something of the system ($(echo "$lacking" | head -n 1)); install what Debian calls: $(echo $packages)" >&2
    exit 1
elif [ "$(id -u)" = 0 ]; then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive $install -qq; } >&2
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    { sudo -n apt-get update -qq && sudo -n DEBIAN_FRONTEND=noninteractive $install -qq; } >&2
else
    echo "The window's tests lack something of the system ($(echo "$lacking" | head -n 1)), and installing it needs the administrator; run: sudo $install" >&2
    exit 1
fi

lacking=$(missing)
[ -z "$lacking" ] || { echo "The window's tests still lack something of the system: $lacking" >&2; exit 1; }
