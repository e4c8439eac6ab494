"""Which compiled engines are handed out, and the one sentence for each that is not."""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines import engine_files, engine_key
from engines.bundle import Bundle, open_bundle
from engines.engine_files import (
    Compiler,
    EngineFile,
    EngineSet,
    check_engine,
    engines_dir,
    graph_hash,
    open_engine,
    read_engines,
    write_engines,
)
from engines.engine_key import key_path
from engines.errors import BundleError, EngineFileError

RTX = Compiler("rtx", "1.7.1.116")
CODE = b"as if compiled" * 100


@pytest.fixture(autouse=True)
def user_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, empty for every test."""
    folder = tmp_path / "user-data"
    monkeypatch.setattr(engine_key, "user_data_path", lambda *_, **__: folder)
    return folder


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Bundle:
    """A bundle with an engine of its decoder for sm89."""
    found = open_bundle(Path(shutil.copytree(tiny_bundle, tmp_path / "b.vl2")))
    folder = engines_dir(found.path, "sm89")
    folder.mkdir(parents=True)
    (folder / "decoder.engine").write_bytes(CODE)
    write_engines(found, engine_set(found))
    return found


def engine_set(bundle: Bundle) -> EngineSet:
    declared = bundle.config.graphs["decoder"]
    entry = EngineFile(
        file="decoder.engine",
        size=len(CODE),
        sha256=hashlib.sha256(CODE).hexdigest(),
        graph_file=declared.file,
        graph_sha256=graph_hash(bundle, "decoder"),
        dtype="fp16",
        inputs=declared.inputs,
        outputs=declared.outputs,
        profiles={"inputs_embeds": ((1, 1, 64), (1, 1, 64), (1, 512, 64))},
        weights_bytes=10,
        activation_bytes=20,
        build_s=1.5,
    )
    return EngineSet(1, RTX, "sm89", bundle.id, {"decoder": entry})


def refused(pattern: str, call: Callable[[], object]) -> None:
    with pytest.raises(EngineFileError, match=pattern) as caught:
        call()
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message


def edit(bundle: Bundle, change: Callable[[Any], None]) -> None:
    path = engines_dir(bundle.path, "sm89") / "engines.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_what_was_written_is_read_and_opened(bundle: Bundle) -> None:
    found = read_engines(bundle, "sm89")
    assert found == engine_set(bundle)
    with open_engine(bundle, found, "decoder", RTX) as mapped:
        assert mapped[:] == CODE


def test_engines_leave_the_bundle_what_it_is(bundle: Bundle, tiny_bundle: Path) -> None:
    assert open_bundle(bundle.path).id == open_bundle(tiny_bundle).id


def test_a_file_called_engines_is_no_folder_of_engines(bundle: Bundle) -> None:
    shutil.rmtree(bundle.path / "engines")
    (bundle.path / "engines").write_text("")
    with pytest.raises(BundleError, match="holds engines"):
        open_bundle(bundle.path)


def test_the_key_is_the_users_alone(bundle: Bundle) -> None:
    key = key_path().read_bytes()
    assert len(key) == 32
    if os.name == "posix":
        assert stat.S_IMODE(key_path().stat().st_mode) == 0o600
    write_engines(bundle, engine_set(bundle))
    assert key_path().read_bytes() == key


def test_another_architecture(bundle: Bundle) -> None:
    refused("no engines for sm120; .* --arch sm120", lambda: read_engines(bundle, "sm120"))
    refused("no GPU architecture", lambda: read_engines(bundle, "../sm89"))
    folder = engines_dir(bundle.path, "sm120")
    shutil.copytree(engines_dir(bundle.path, "sm89"), folder)
    refused("engines for sm89, not for sm120", lambda: read_engines(bundle, "sm120"))


def test_another_bundle(bundle: Bundle, deaf_bundle: Path, tmp_path: Path) -> None:
    other = open_bundle(Path(shutil.copytree(deaf_bundle, tmp_path / "other.vl2")))
    shutil.copytree(bundle.path / "engines", other.path / "engines")
    refused("made for another bundle", lambda: read_engines(other, "sm89"))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["graphs"]["decoder"].update(sha256="0" * 64),
        lambda data: data["tensorrt"].update(version="9.9"),
        lambda data: data.update(extra=1),
        lambda data: data.pop("hmac"),
        lambda data: data.update(hmac=5),
        lambda data: data.update(hmac="é"),
        lambda data: data["graphs"]["decoder"]["profiles"].clear(),
    ],
    ids=["hash", "version", "more", "unsigned", "a number", "no hex", "less"],
)
def test_a_list_that_was_edited(bundle: Bundle, change: Callable[[Any], None]) -> None:
    edit(bundle, change)
    refused("was changed or comes from another computer", lambda: read_engines(bundle, "sm89"))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "[" * 100_000], ids=["empty", "cut", "list", "null", "deep"]
)
def test_a_list_that_is_none(bundle: Bundle, text: str) -> None:
    (engines_dir(bundle.path, "sm89") / "engines.json").write_text(text)
    refused("not valid JSON|not a list of engines", lambda: read_engines(bundle, "sm89"))


def test_a_list_of_another_form_though_signed(bundle: Bundle) -> None:
    def resign(data: Any) -> None:
        del data["hmac"]
        data["graphs"]["decoder"]["size"] = "large"
        data["hmac"] = engine_files._sign(data, key_path().read_bytes())

    edit(bundle, resign)
    refused("damaged .*size", lambda: read_engines(bundle, "sm89"))


def test_the_key_is_gone_or_another(bundle: Bundle) -> None:
    key_path().unlink()
    refused("The key that vouches for", lambda: read_engines(bundle, "sm89"))
    key_path().write_bytes(b"short")
    refused("The key that vouches for", lambda: read_engines(bundle, "sm89"))
    key_path().write_bytes(bytes(32))
    refused("comes from another computer", lambda: read_engines(bundle, "sm89"))


def test_building_again_mends_a_key_that_is_none(bundle: Bundle) -> None:
    key_path().write_bytes(b"short")
    write_engines(bundle, engine_set(bundle))
    assert read_engines(bundle, "sm89") == engine_set(bundle)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (CODE[:-1], "1399 bytes instead of 1400"),
        (b"", "0 bytes instead of 1400"),
        (CODE[:-1] + b"!", "changed since it was built"),
        (None, "is missing"),
    ],
    ids=["cut", "empty", "changed", "missing"],
)
def test_an_engine_that_is_not_the_one_that_was_built(
    bundle: Bundle, content: bytes | None, sentence: str
) -> None:
    path = engines_dir(bundle.path, "sm89") / "decoder.engine"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    found = read_engines(bundle, "sm89")
    refused(sentence, lambda: open_engine(bundle, found, "decoder", RTX))


def test_an_engine_behind_a_link(bundle: Bundle, tmp_path: Path) -> None:
    path = engines_dir(bundle.path, "sm89") / "decoder.engine"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    found = read_engines(bundle, "sm89")
    refused("is a link", lambda: open_engine(bundle, found, "decoder", RTX))


def test_a_file_swapped_after_it_was_checked_is_not_seen(bundle: Bundle, tmp_path: Path) -> None:
    found = read_engines(bundle, "sm89")
    with open_engine(bundle, found, "decoder", RTX) as mapped:
        (tmp_path / "evil").write_bytes(b"x" * len(CODE))
        (tmp_path / "evil").replace(engines_dir(bundle.path, "sm89") / "decoder.engine")
        assert mapped[:] == CODE


def test_a_file_written_into_after_it_was_checked_is_not_seen(bundle: Bundle) -> None:
    found = read_engines(bundle, "sm89")
    with open_engine(bundle, found, "decoder", RTX) as held:
        with (engines_dir(bundle.path, "sm89") / "decoder.engine").open("r+b") as file:
            file.write(b"x" * len(CODE))
        assert held[:] == CODE


@pytest.mark.parametrize("part", ["engines", "engines/sm89"])
def test_a_folder_behind_a_link_is_neither_read_nor_written(
    bundle: Bundle, tmp_path: Path, part: str
) -> None:
    folder = bundle.path / part
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    refused("is a link, not a folder of engines", lambda: read_engines(bundle, "sm89"))
    refused("is a link", lambda: write_engines(bundle, engine_set(bundle)))


@pytest.mark.skipif(os.name != "posix", reason="pipes with names")
def test_a_list_that_is_a_pipe_is_not_waited_for(bundle: Bundle) -> None:
    path = engines_dir(bundle.path, "sm89") / "engines.json"
    path.unlink()
    os.mkfifo(path)
    refused("is not a file", lambda: read_engines(bundle, "sm89"))


def test_another_compiler(bundle: Bundle) -> None:
    found = read_engines(bundle, "sm89")
    for other in (Compiler("rtx", "1.8.0"), Compiler("classic", "1.7.1.116")):
        refused(
            r"built by TensorRT for RTX 1\.7\.1\.116 and cannot be run by TensorRT",
            lambda other=other: check_engine(bundle, found, "decoder", other),
        )


def test_a_graph_that_has_none(bundle: Bundle) -> None:
    found = read_engines(bundle, "sm89")
    refused("no engine of the audio graph", lambda: check_engine(bundle, found, "audio", RTX))


def test_the_hash_of_a_graph_covers_its_weights(
    own_bundle: tuple[Path, dict[str, Any]], seal_bundle: Callable[[Path, dict[str, Any]], None]
) -> None:
    folder, manifest = own_bundle
    before = open_bundle(folder)
    first = {graph: graph_hash(before, graph) for graph in before.config.graphs}
    assert len(set(first.values())) == len(first)
    (folder / "decoder.data").write_bytes(b"weights")
    seal_bundle(folder, manifest)
    after = open_bundle(folder)
    assert {g for g in first if graph_hash(after, g) != first[g]} == {"decoder"}
    refused("has no nonsense graph", lambda: graph_hash(after, "nonsense"))


def test_an_engine_of_a_graph_that_was_exported_again(bundle: Bundle) -> None:
    found = read_engines(bundle, "sm89")
    file = bundle.config.files["decoder.onnx"]
    bundle.config.files["decoder.onnx"] = type(file)(file.size, "0" * 64)
    refused("another decoder graph", lambda: check_engine(bundle, found, "decoder", RTX))


@pytest.mark.parametrize("links", [True, False])
def test_two_programs_that_make_the_key_at_once_sign_with_the_same(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    key_path().unlink()
    other = bytes(range(32))

    def other_was_first(count: int) -> bytes:
        key_path().write_bytes(other)
        return b"x" * count

    def no_links(*_: object) -> None:
        raise PermissionError("This disk has none.")

    monkeypatch.setattr(engine_key.secrets, "token_bytes", other_was_first)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    write_engines(bundle, engine_set(bundle))
    assert key_path().read_bytes() == other
    assert read_engines(bundle, "sm89") == engine_set(bundle)
    assert [path.name for path in key_path().parent.iterdir()] == ["engines.key"]


def test_a_key_is_never_seen_half_written(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    key_path().unlink()
    seen: list[bool] = []
    real = os.fsync

    def looked(number: int) -> None:
        seen.append(key_path().exists())
        real(number)

    monkeypatch.setattr(engine_key.os, "fsync", looked)
    write_engines(bundle, engine_set(bundle))
    assert seen == [False]
    assert len(key_path().read_bytes()) == 32
    if os.name == "posix":
        assert stat.S_IMODE(key_path().stat().st_mode) == 0o600


def test_every_sentence_names_the_command_that_helps(bundle: Bundle) -> None:
    engine = engines_dir(bundle.path, "sm89") / "decoder.engine"
    command = f"vl2-export engines {bundle.path} --arch sm89"
    assert engine_files.build_command(engine) == command
    assert engine_files.build_anew(engine) == f"build it anew with {command} --force"
    engine.write_bytes(b"x" * len(CODE))
    found = read_engines(bundle, "sm89")
    refused(f"build it with {command}\\.", lambda: open_engine(bundle, found, "decoder", RTX))
    refused(
        f"{command} builds it, or says why it cannot",
        lambda: check_engine(bundle, found, "projector", RTX),
    )
    refused(f"{bundle.path} has no engines for sm86", lambda: read_engines(bundle, "sm86"))
    refused("--arch sm86", lambda: read_engines(bundle, "sm86"))
