import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication, QFileDialog, QLabel, QLineEdit, QMessageBox, QPushButton

from app import bundles
from app.bundles import (
    ExportChoices,
    InstalledBundle,
    Memory,
    Need,
    PartDevice,
    PartNeed,
    Verdict,
)
from app.widgets import language, theme
from app.widgets.build_dialog import BuildDialog
from app.widgets.build_form import BuildForm
from app.widgets.build_job import BuildJob
from app.widgets.memory_bar import MemoryBar
from app.widgets.model_card import reasons
from app.widgets.model_facts import BundleFacts
from app.widgets.models_page import ModelsPage
from app.widgets.wording import REASONS, duration_text, part_text, size_text
from engines import devices
from engines.config import parse_manifest

pytestmark = pytest.mark.gui

GB = 10**9
DEMO = Path(__file__).parent.parent.parent / "assets" / "demo"
MEMORY = Memory(24 * GB, 14 * GB)
CPU = "The model runs on the CPU."
PARTS = tuple(PartDevice(part, "cpu", CPU) for part in ("vision_tower", "decoder"))


@pytest.fixture(autouse=True)
def looks(qapp, monkeypatch, tmp_path):
    theme.apply(qapp, "light")
    language.install(qapp, "en")
    monkeypatch.setattr(bundles, "export_problem", lambda: None)
    monkeypatch.setattr(bundles, "bundles_dir", lambda: tmp_path / "bundles")


@pytest.fixture(scope="module")
def config():
    return parse_manifest((DEMO / "manifest.json").read_bytes(), DEMO)


def facts(config, name, needed=GB, fits="yes", demo=False, problem=None):
    parts = (
        PartNeed("vision_tower", 0, needed // 10, 0, True, "estimated"),
        PartNeed("decoder", needed // 10 * 9, 0, 0, False, ""),
    )
    bundle = InstalledBundle(
        Path("/bundles") / name, name, "ab" * 32, config, 5 * GB, demo, not demo, problem
    )
    if problem is not None:
        return BundleFacts(replace(bundle, config=None))
    return BundleFacts(bundle, Need(2048, parts, needed, 0), Verdict(fits, ""), PARTS)


@pytest.fixture
def page(qtbot, config):
    page = ModelsPage()
    qtbot.addWidget(page)
    page.resize(800, 700)
    page.set_bundles(
        [
            facts(config, "demo", demo=True),
            facts(config, "large", 31 * GB, "no"),
            facts(
                config, "broken", problem="The bundle broken has no decoder.onnx; import it again."
            ),
        ],
        MEMORY,
        Path("/bundles/demo"),
    )
    page.show()
    yield page
    page.close_build()


def heard(signal):
    got = []
    signal.connect(lambda *values: got.append(values[0] if values else None))
    return got


def words(widget):
    return " | ".join(label.text() for label in widget.findChildren(QLabel) if not label.isHidden())


def test_cards_say_what_matters(page):
    demo, large, broken = page.cards
    assert "knows only its small synthetic world" in words(demo)
    assert "int4 · picture and sound · 8 frames · 5.0 GB on disk" in words(demo)
    assert "Fits. Needs about 1.0 GB. 14.0 GB of 24.0 GB are free here." in words(demo)
    assert "In use" in words(demo)
    assert "Does not fit into this computer's memory. Needs about 31.0 GB." in words(large)
    assert "no decoder.onnx" in words(broken)


def test_only_what_can_be_done_is_offered(page):
    demo, large, broken = page.cards
    assert demo.use_button.isHidden()  # in use
    assert demo.remove_button.isHidden()  # never
    assert not large.use_button.isHidden()
    assert broken.use_button.isHidden()
    assert not broken.remove_button.isHidden()


def test_using(page):
    used = heard(page.useRequested)
    page.cards[1].use_button.click()
    assert used == [Path("/bundles/large")]


def test_details_say_where_each_part_runs_and_why(page):
    card = page.cards[1]
    assert card.details.isHidden()
    card.details_button.click()
    text = words(card.details)
    assert "Picture encoder | CPU | about 3.1 GB | Language model | CPU | 27.9 GB" in text
    assert text.count(CPU) == 1
    assert "/bundles/large" in [line.text() for line in card.details.findChildren(QLineEdit)]


def test_reasons_that_differ_are_said_for_each():
    two = (PartDevice("audio", "cpu", "No."), PartDevice("decoder", "cuda", "Yes."))
    assert reasons(two) == ["Sound encoder: No.", "Language model: Yes."]
    assert reasons(()) == []


@pytest.mark.parametrize("providers", [[], ["CUDAExecutionProvider"]])
@pytest.mark.parametrize("gpus", [(), ("RTX",)])
@pytest.mark.parametrize("found", [False, True])
def test_reasons_of_the_engine_are_known_to_the_translators(monkeypatch, providers, gpus, found):
    monkeypatch.setattr(devices, "nvidia_gpus", lambda: gpus)
    monkeypatch.setattr(devices, "available_providers", lambda: providers)
    monkeypatch.setattr(devices, "provider", lambda name: name)
    monkeypatch.setattr(devices, "engine_gpu", lambda: None)
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: found or None)
    for device in ("auto", "cpu", "cuda", "tensorrt"):
        assert devices.resolve(device).reason in REASONS


def test_removing_asks_first(page):
    removed = heard(page.removeRequested)
    page.cards[1].remove_button.click()
    question = page.findChild(QMessageBox)
    assert "/bundles/large" in question.informativeText()
    assert question.defaultButton().text() == "Keep"
    question.defaultButton().click()
    assert not removed
    page.cards[1].remove_button.click()
    boxes = [box for box in page.findChildren(QMessageBox) if box.isVisible()]
    next(b for b in boxes[-1].findChildren(QPushButton) if b.text() == "Remove").click()
    assert removed == [Path("/bundles/large")]


def test_a_new_survey_keeps_details_and_keyboard(qtbot, page, config):
    page.cards[1].details_button.click()
    page.activateWindow()
    page.cards[1].details_button.setFocus()
    focused = page.cards[1].details_button.hasFocus()
    page.set_bundles([facts(config, "large", 31 * GB, "no")], MEMORY, None)
    assert len(page.cards) == 1
    assert page.cards[0].expanded()
    assert page.cards[0].details_button.hasFocus() == focused


def test_everything_has_a_name(page):
    page.cards[1].details_button.click()
    for button in page.findChildren(QPushButton):
        assert button.accessibleName() or button.text(), button
    assert "large" in page.cards[1].use_button.accessibleName()


def test_importing(page, monkeypatch):
    wanted, cancelled = heard(page.importRequested), heard(page.importCancelled)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "/disk/av.vl2")
    page.import_button.click()
    assert wanted == [Path("/disk/av.vl2")]
    page.set_import_progress("av.vl2", 2 * GB, 8 * GB)
    assert "2.0 GB of 8.0 GB" in page.import_card.words.text()
    assert page.import_card.bar.value() * 4 == page.import_card.bar.maximum()
    assert not page.import_button.isEnabled()
    page.import_card.button.click()
    assert cancelled == [None]
    assert not page.import_card.button.isEnabled()
    page.end_import()
    assert page.import_card.isHidden()
    assert page.import_button.isEnabled()


def test_an_import_that_failed_says_why(page):
    page.set_import_progress("av.vl2", 0, 0)
    page.end_import("The file decoder.data of av.vl2 is damaged; copy it again.")
    assert "damaged" in page.import_card.words.text()
    page.import_card.close_button.click()
    assert page.import_card.isHidden()


@pytest.mark.parametrize(("name", "taken"), [(str(DEMO), True), (str(DEMO.parent), False)])
def test_a_bundle_can_be_dropped(page, name, taken):
    wanted = heard(page.importRequested)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(name)])
    event = QDropEvent(
        QPointF(5, 5),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    event.ignore()
    page.dragEnterEvent(event)
    assert event.isAccepted() == taken
    page.dropEvent(event)
    assert wanted == ([DEMO] if taken else [])


def test_the_form_says_what_is_missing(qtbot, tmp_path):
    form = BuildForm()
    qtbot.addWidget(form)
    ready = heard(form.ready)
    assert form.problem() == "Choose the folder of a checkpoint."
    form.checkpoint.setText(str(tmp_path))
    assert "config.json" in form.problem()
    (tmp_path / "config.json").write_text("{}")
    form.checkpoint.setText(str(tmp_path) + "/")
    assert form.problem() == ""
    assert ready[-1] is True
    assert form.paths()[1] == tmp_path / "bundles" / f"{tmp_path.name}-int4.vl2"
    form.schemes["fp16"].setChecked(True)
    assert form.paths()[1].name.endswith("-fp16.vl2")
    assert not form.group.isEnabled()
    assert form.choices() == ExportChoices("fp16", None, False)
    form.paths()[1].mkdir(parents=True)
    form.out.setText(form.out.text() + "/")
    assert "exists" in form.problem()
    form.replace.setChecked(True)
    assert form.problem() == ""


def test_a_name_of_ones_own_is_kept(qtbot, tmp_path):
    form = BuildForm()
    qtbot.addWidget(form)
    (tmp_path / "config.json").write_text("{}")
    qtbot.keyClicks(form.out, "mine.vl2")
    form.checkpoint.setText(str(tmp_path))
    assert form.out.text() == "mine.vl2"


def test_building_from_the_form_to_the_end(qtbot, page, tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    program = "import sys; print('layer · 50%', file=sys.stderr); sys.stdin.read()"
    command = [sys.executable, "-c", program]
    asked = []

    def started(checkpoint, out, choices):
        asked.append((checkpoint, out, choices))
        return command

    monkeypatch.setattr(BuildJob.__init__, "__defaults__", (None, started))
    changed, used = heard(page.bundlesChanged), heard(page.useRequested)
    page.build_button.click()
    dialog = page._dialog
    dialog.form.checkpoint.setText(str(tmp_path))
    dialog.form.group.setCurrentIndex(2)
    dialog.start_button.click()
    job = page.job
    assert asked == [
        (tmp_path, tmp_path / "bundles" / f"{tmp_path.name}-int4.vl2", ExportChoices("int4", 64))
    ]
    qtbot.waitUntil(lambda: job.fraction == 0.5)
    assert "layer · 50%" in dialog.log.toPlainText()
    assert "50 %" in dialog.words.text()
    dialog.close()
    assert page.build_card.isVisible()
    assert job.active
    page.build_card.button.click()
    dialog = page._dialog
    assert "layer · 50%" in dialog.log.toPlainText()
    job._process.closeWriteChannel()
    qtbot.waitUntil(lambda: job.state == "done")
    assert changed == [None]
    assert dialog.use_button.isVisible()
    dialog.use_button.click()
    assert used == [job.out]
    assert page.job is None
    assert page.build_card.isHidden()


def test_stop_and_resume_from_the_dialog(qtbot, page, tmp_path, monkeypatch):
    program = "import sys; print('layer · 50%', file=sys.stderr); sys.stdin.read()"
    job = BuildJob(
        tmp_path,
        tmp_path / "out.vl2",
        ExportChoices(),
        command=lambda *_: [sys.executable, "-c", program],
    )
    page._own(job)
    job.resume()
    page.show_build()
    qtbot.waitUntil(lambda: job.fraction == 0.5)
    page._dialog.stop_button.click()
    qtbot.waitUntil(lambda: job.state == "stopped")
    assert page._dialog.words.text() == "Stopped."
    page._dialog.close()
    assert page.build_card.isVisible()
    page.show_build()
    page._dialog.resume_button.click()
    qtbot.waitUntil(lambda: job.fraction == 0.5)
    page.close_build()
    assert not job.active
    page._dialog.close()
    page.build_card.close_button.click()
    assert page.job is None


def test_where_nothing_can_be_built_the_dialog_says_so(qtbot, monkeypatch):
    monkeypatch.setattr(bundles, "export_problem", lambda: "Install the exporter's packages.")
    dialog = BuildDialog()
    qtbot.addWidget(dialog)
    assert not dialog.form.isEnabled()
    assert not dialog.start_button.isEnabled()
    assert "Install the exporter's packages." in words(dialog)


@pytest.mark.parametrize(
    ("needed", "memory", "shares"),
    [
        (6, Memory(24, 12), (0.5, 0.25, 0.0, 1.0)),
        (24, Memory(24, 12), (12 / 36, 12 / 36, 12 / 36, 24 / 36)),
        (6, Memory(24, 99), (0.0, 0.25, 0.0, 1.0)),
    ],
)
def test_the_bar_by_hand(qtbot, needed, memory, shares):
    bar = MemoryBar()
    qtbot.addWidget(bar)
    bar.set_sizes(needed, memory)
    assert bar.shares() == pytest.approx(shares)
    assert not bar.grab().isNull()


def test_no_bar_where_the_memory_is_not_known(qtbot, config):
    bar = MemoryBar()
    qtbot.addWidget(bar)
    bar.set_sizes(6, Memory(None, None))
    assert bar.isHidden()


def test_wording(qapp):
    assert size_text(340_000) == "340 kB"
    assert size_text(5_900_000) == "5.9 MB"
    assert size_text(200_000_000) == "200 MB"
    assert size_text(4.14e9) == "4.1 GB"
    assert [duration_text(t) for t in (44.6, 200, 7_560)] == ["45 s", "3 min", "2.1 h"]
    assert part_text("something new") == "something new"


def test_narrow_and_wide(page):
    page.cards[1].details_button.click()
    for width in (360, 1400):
        page.resize(width, 600)
        QApplication.processEvents()
        assert page._scroll.widget().minimumSizeHint().width() <= 360
        assert not page.grab().isNull()
