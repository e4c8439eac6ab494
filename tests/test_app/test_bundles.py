"""Bundles on this computer: found, imported, removed, and nothing else touched."""

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import bundle_import, bundles
from app.bundles import (
    ExportChoices,
    bundles_dir,
    export_command,
    export_problem,
    export_progress,
    import_bundle,
    installed,
    need,
    remove,
)
from assets import demo_bundle
from engines.bundle import open_bundle
from engines.errors import BundleError, Cancelled
from tests.unprivileged import public_folder, read_only, unprivileged

ROOT = Path(__file__).parents[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the demo bundle that a test may damage."""
    return Path(shutil.copytree(demo_bundle(), tmp_path / "My model (v2).vl2"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "bundles"


def nothing_in(folder: Path) -> bool:
    return not folder.exists() or list(folder.iterdir()) == []


def change(bundle: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    manifest = bundle / "manifest.json"
    data = json.loads(manifest.read_text())
    edit(data)
    manifest.write_text(json.dumps(data))


# Which there are.


def test_the_demo_is_always_there_and_stays() -> None:
    (demo,) = installed()
    assert (demo.is_demo, demo.removable, demo.problem) == (True, False, None)
    assert demo.path == demo_bundle()
    assert demo.id == open_bundle(demo_bundle()).id
    assert demo.size_bytes == sum(p.stat().st_size for p in demo_bundle().iterdir())
    with pytest.raises(BundleError, match=r"part of the program"):
        remove(demo.path)
    assert open_bundle(demo_bundle())


def test_imported_bundles_and_those_in_further_folders_are_listed_once(
    source: Path, tmp_path: Path
) -> None:
    imported = import_bundle(source)
    assert imported.path.parent == bundles_dir()
    (bundles_dir() / ".importing-1").mkdir()
    (bundles_dir() / "notes").mkdir()
    (tmp_path / "link").symlink_to(source)
    found = installed([source, tmp_path, tmp_path / "link", bundles_dir(), demo_bundle()])
    assert [bundle.path for bundle in found] == [demo_bundle(), imported.path, source]
    assert [bundle.removable for bundle in found] == [False, True, False]


def test_a_folder_that_is_gone_is_shown_as_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "unplugged", tmp_path / "file"):
        (_, shown) = installed([place])
        assert shown.path == place
        assert shown.problem is not None
        assert "cannot be listed" in shown.problem
        assert not shown.removable


def test_a_closed_folder_hides_only_itself() -> None:
    with public_folder() as place:
        shutil.copytree(demo_bundle(), place / "mine.vl2")
        (place / "lost+found").mkdir(mode=0o700)
        (place / "lost+found" / "manifest.json").touch()
        (place / "closed").mkdir(mode=0o700)
        names = unprivileged(
            "from app.bundles import installed",
            "print([bundle.path.name for bundle in installed([path, path / 'closed'])[1:]])",
            place,
        )
    # Neither is pytest's folder, where this user's own bundles would lie, open to the other user.
    assert names == "['bundles', 'mine.vl2', 'closed']\n"


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "file gone": (lambda b: (b / "decoder.data").unlink(), "lacks its file decoder.data"),
    "file short": (lambda b: (b / "decoder.data").write_bytes(b"x"), "its size is wrong"),
    "no JSON": (lambda b: (b / "manifest.json").write_text("{"), "not valid JSON"),
    "deep JSON": (lambda b: (b / "manifest.json").write_text("[" * 100_000), "not valid JSON"),
    "stranger": (lambda b: (b / "extra").touch(), "which its manifest does not name"),
    "newer": (lambda b: change(b, lambda m: m.update(format_version=99)), "format version"),
    "huge number": (
        lambda b: change(b, lambda m: m["decoder"].update(head_dim=10**400)),
        "impossible",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_bundle_is_shown_and_can_be_removed(source: Path, case: str) -> None:
    damage, sentence = BROKEN[case]
    path = import_bundle(source).path
    damage(path)
    (_, shown) = installed()
    assert shown.problem is not None
    assert sentence in shown.problem
    assert shown.removable
    if shown.config is None:
        with pytest.raises(BundleError):
            need(shown)
    remove(path)
    assert len(installed()) == 1


# Import.


def test_an_imported_bundle_is_whole(source: Path, folder: Path) -> None:
    told: list[tuple[int, int]] = []
    bundle = import_bundle(source, lambda *at: told.append(at), folder=folder)
    assert bundle.path == folder / "My model (v2).vl2"
    assert bundle.problem is None
    assert open_bundle(bundle.path).id == open_bundle(source).id
    total = sum(p.stat().st_size for p in source.iterdir() if p.name != "manifest.json")
    assert told[0] == (0, total)
    assert told[-1] == (total, total)
    assert told == sorted(told)
    assert [p.name for p in folder.iterdir()] == [bundle.path.name]


def test_what_a_killed_removal_left_keeps_no_bundle_out(source: Path, folder: Path) -> None:
    first = import_bundle(source, folder=folder)
    first.path.rename(folder / f"{bundle_import.GONE}1")
    assert import_bundle(source, folder=folder).path == first.path


def test_the_same_bundle_is_not_imported_twice(source: Path, folder: Path) -> None:
    first = import_bundle(source, folder=folder)
    with pytest.raises(BundleError, match=r"already, as My model \(v2\)\.vl2"):
        import_bundle(source, folder=folder)
    with pytest.raises(BundleError, match=r"among the models already"):
        import_bundle(first.path, folder=folder)
    assert len(list(folder.iterdir())) == 1


def test_another_bundle_of_the_same_name_gets_a_number(source: Path, folder: Path) -> None:
    import_bundle(source, folder=folder)
    change(source, lambda m: m.update(name="another"))
    assert import_bundle(source, folder=folder).path.name == "My model (v2).vl2-2"


@pytest.mark.parametrize(
    ("name", "becomes"),
    [("..x", "x"), ("a;b\nc", "a_b_c"), (".hidden", "hidden"), ("视频", "视频")],
)
def test_odd_names_become_plain(source: Path, folder: Path, name: str, becomes: str) -> None:
    odd = source.rename(source.with_name(name))
    assert import_bundle(odd, folder=folder).path == folder / becomes


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def replace_by_link(path: Path) -> None:
    target = path.rename(path.parent.parent / f"real-{path.name}")
    path.symlink_to(target)


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def name_file(bundle: Path, name: str) -> None:
    change(bundle, lambda m: m["files"].update({name: {"size": 1, "sha256": ""}}))


def lengthen(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x" * (9 << 20))


NO_BUNDLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "one bit": (lambda b: flip(b / "decoder.data"), "damaged"),
    "one bit of a small file": (lambda b: flip(b / "tokenizer.json"), "damaged"),
    "empty file": (lambda b: (b / "decoder.data").write_bytes(b""), "damaged"),
    "longer file": (lambda b: lengthen(b / "audio.data"), "damaged"),
    "no file": (lambda b: (b / "audio.data").unlink(), "lacks its file audio.data"),
    "link": (lambda b: replace_by_link(b / "decoder.data"), "link"),
    "linked manifest": (lambda b: replace_by_link(b / "manifest.json"), "link"),
    "pipe": (lambda b: replace_by_pipe(b / "decoder.data"), "link or a folder"),
    "folder": (lambda b: replace_by_folder(b / "decoder.data"), "link or a folder"),
    "stranger": (lambda b: (b / "run.sh").touch(), "does not name"),
    "no manifest": (lambda b: (b / "manifest.json").unlink(), "holds no manifest.json"),
    "nothing": (shutil.rmtree, "no bundle at"),
    "name that leaves": (lambda b: name_file(b, "../x"), "plain file name"),
    "name that is none": (lambda b: name_file(b, "a\ud800"), "plain file name"),
    "name that leaves on Windows": (lambda b: name_file(b, "a\\b"), "plain file name"),
    "enormous": (
        lambda b: change(b, lambda m: m["files"]["audio.data"].update(size=10**18)),
        "free some space",
    ),
    "wrong hash": (
        lambda b: change(b, lambda m: m["files"]["audio.data"].update(sha256="0")),
        "damaged",
    ),
}


@pytest.mark.parametrize("case", NO_BUNDLE)
def test_what_is_no_whole_bundle_is_refused_and_leaves_nothing(
    source: Path, folder: Path, case: str
) -> None:
    damage, sentence = NO_BUNDLE[case]
    damage(source)
    with pytest.raises(BundleError, match=sentence) as error:
        import_bundle(source, folder=folder)
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)
    assert nothing_in(folder)


def test_a_link_to_a_bundle_is_refused(source: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(BundleError, match="is a link"):
        import_bundle(tmp_path / "link", folder=folder)
    assert nothing_in(folder)


@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_cancelled_import_leaves_nothing(source: Path, folder: Path, after: int) -> None:
    asked = iter(range(100))
    with pytest.raises(Cancelled):
        import_bundle(source, cancelled=lambda: next(asked) >= after, folder=folder)
    assert nothing_in(folder)


def test_a_manifest_changed_meanwhile_is_noticed(source: Path, folder: Path) -> None:
    def swap(done: int, total: int) -> None:
        if done == total:
            change(source, lambda m: m.update(name="swapped"))

    with pytest.raises(BundleError, match="changed during the import"):
        import_bundle(source, swap, folder=folder)
    assert nothing_in(folder)


def test_a_disk_that_cannot_be_written_is_one_sentence(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="cannot be imported"):
        import_bundle(source, folder=tmp_path / "file" / "bundles")
    program = """
try:
    import_bundle(path / "source", folder=path / "closed")
except BundleError as error:
    print(error)
"""
    imports = "from app.bundles import import_bundle; from engines.errors import BundleError"
    with public_folder() as public:
        (public / "closed").mkdir()
        shutil.copytree(source, public / "source").chmod(0o755)
        with read_only(public / "closed"):
            assert "permission denied" in unprivileged(imports, program, public)


def test_a_killed_import_is_swept_away_later_and_never_shown(source: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from app.bundles import import_bundle
def tell(done, total):
    if done > total // 2:
        print("half", flush=True)
        time.sleep(60)
import_bundle(Path(sys.argv[1]), tell)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(source)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "half\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    (part,) = bundles_dir().iterdir()
    assert len(installed()) == 1
    change(source, lambda m: m.update(name="second try"))
    import_bundle(source)
    assert part.exists(), "it might be another program's, at work"
    old = time.time() - bundle_import.ABANDONED_S - 1
    for path in (*part.iterdir(), part):
        os.utime(path, (old, old))
    bundle_import.sweep(bundles_dir())
    assert [p.name for p in bundles_dir().iterdir()] == [source.name]


# Removal.


def test_an_imported_bundle_can_be_removed(source: Path, folder: Path) -> None:
    path = import_bundle(source, folder=folder).path
    remove(path, folder)
    assert nothing_in(folder)
    assert open_bundle(source)


def test_nothing_but_imported_bundles_is_removed(source: Path, folder: Path) -> None:
    kept = import_bundle(source, folder=folder).path
    (folder / "notes").mkdir()
    (folder / "notes" / "mine.txt").touch()
    (folder / "link").symlink_to(source)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "manifest.json").touch()
    for path in (
        source,
        folder,
        folder.parent,
        folder / "notes",
        folder / "link",
        folder / ".hidden",
        folder / "no such",
        folder / "..",
        folder / "notes" / ".." / "..",
        kept / "manifest.json",
        kept / ".." / "notes",
        Path(),
        Path("/"),
    ):
        with pytest.raises(BundleError, match=r"not deleted"):
            remove(path, folder)
    assert (folder / "notes" / "mine.txt").exists()
    assert open_bundle(source)
    assert open_bundle(kept)


def test_links_in_an_imported_bundle_are_removed_and_not_followed(
    source: Path, folder: Path, tmp_path: Path
) -> None:
    path = import_bundle(source, folder=folder).path
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    (path / "way out").symlink_to(tmp_path / "mine")
    remove(path, folder)
    assert (tmp_path / "mine" / "precious").exists()


# Building.


def test_the_export_s_command_line_is_understood_by_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from export import cli

    asked: list[Any] = []
    # The command line alone: the work behind it brings torch.
    build = SimpleNamespace(export_bundle=lambda *given: asked.append(given))
    monkeypatch.setitem(sys.modules, "export.build", build)
    choices = [
        ExportChoices(),
        ExportChoices("fp16", group=32),
        ExportChoices("int4", group=64, replace=True),
    ]
    monkeypatch.chdir(tmp_path)
    for choice in choices:
        program, *rest = export_command(Path("verify"), Path("-o"), choice)
        assert program == sys.executable
        assert rest[:3] == ["-P", "-m", "export.cli"]
        assert cli.main(rest[3:]) == 0
    for choice, (checkpoint, out, options) in zip(choices, asked, strict=True):
        assert (checkpoint, out) == (tmp_path / "verify", tmp_path / "-o")
        wanted = dataclasses.asdict(choice)
        wanted["group"] = choice.group if choice.scheme == "int4" else None
        assert {name: getattr(options, name) for name in wanted} == wanted


def test_the_command_does_not_take_programs_from_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "__init__.py").write_text("")
    (tmp_path / "export" / "cli.py").write_text("print('hijacked')")
    command = [*export_command(Path("a"), Path("b"), ExportChoices()), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "hijacked" not in done.stdout
    assert "--accept-loss" in done.stdout


def test_a_frozen_program_has_its_export_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "vl2"))
    assert "without vl2-export" in (export_problem() or "")
    (tmp_path / "vl2-export").touch()
    assert export_problem() is None
    command = export_command(Path("/c"), Path("/o"), ExportChoices())
    assert command == [str(tmp_path / "vl2-export"), "/c", "-o", "/o", "--int4"]


def test_what_is_missing_for_building_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert export_problem() is None
    monkeypatch.setattr("app.export_command.PACKAGES", ("torch", "no_such_package"))
    problem = export_problem() or ""
    assert "needs no_such_package, which" in problem
    assert "torch," not in problem


def test_progress_is_read_from_the_export_s_own_lines() -> None:
    import io

    from export.progress import Progress

    stream = io.StringIO()
    progress = Progress(200, stream)
    progress.step("vision_tower", 50)
    assert [export_progress(line) for line in stream.getvalue().splitlines()] == [0.25]
    assert export_progress("decoder layer 3 · 99% · 2 min left") == 0.99
    assert export_progress("wrote x.vl2, 4.1 GB") is None
    assert export_progress("100% of it") is None
    assert export_progress("") is None


def test_the_folder_is_the_user_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    assert bundles_dir().name == "bundles"
    assert hashlib.sha256((demo_bundle() / "manifest.json").read_bytes()).hexdigest() == (
        bundles.installed()[0].id
    )
