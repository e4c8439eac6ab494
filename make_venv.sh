#!/bin/sh
# Makes a virtual environment in $1 with Python 3.11 or later; installs Debian's venv package where it may.
set -eu
venv=$1

suitable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

python=
for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    if [ -n "$candidate" ] && suitable "$candidate"; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    echo "VL2 needs Python 3.11 or later; install it (Debian, Ubuntu: apt-get install python3) or set PYTHON=/path/to/python3." >&2
    exit 1
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    install="apt-get install -y python$version-venv"
    if ! command -v apt-get >/dev/null; then
        echo "Python's venv module is missing; install it with your system's package manager and run make again." >&2
        exit 1
    elif [ "$(id -u)" = 0 ]; then
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive $install; } >&2
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        { sudo -n apt-get update -qq && sudo -n $install; } >&2
    else
        echo "Python's venv module is missing and installing it needs the administrator; run: sudo $install" >&2
        exit 1
    fi
fi

rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/python" -m pip --disable-pip-version-check --quiet install --upgrade pip
