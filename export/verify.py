"""`vl2-export verify`: a bundle's files by their hashes, its graphs by the stored self-test.

An int4 bundle's answers are measured against the unrounded model's once more (`export.measure`).

All goes through the runtime's own front door, so what is verified is what a user will run.
"""

from collections.abc import Sequence
from pathlib import Path

import engines
from engines.bundle import open_bundle
from engines.config import VerificationRow
from engines.selftest import OUTPUTS, Stored, Test, measure, read_selftest, run_test
from export.accuracy import accuracy_table, refuse_loss
from export.ask_bundle import AskedBundle, Tell, ask_bundle
from export.compare import refuse_failures, table
from export.measure import measure_again
from export.memory import giving_back
from export.needs import bundle_in_pieces


def verify_bundle(folder: Path, tell: Tell = lambda what: None) -> str:
    """Check a bundle and return the tables of differences.

    Args:
        folder: The bundle.
        tell: Told what is being done, where that takes long.

    Raises:
        BundleError: a file is missing or damaged, or the self-test cannot be read.
        ExportError: a graph no longer gives what the reference gave, or answers too differently.
    """
    bundle = open_bundle(folder)
    asked = ask_bundle(folder, bundle_in_pieces(bundle), tell)
    rows = selftest_rows(folder, asked)
    refuse_failures(rows)
    published = bundle.config.accuracy
    if published is None:
        return table(rows)
    found = measure_again(folder, asked, published)
    if not published.accepted_loss:
        refuse_loss(found, folder)
    return f"{table(rows)}\n{accuracy_table(found)}"


def selftest_rows(folder: Path, asked: AskedBundle) -> list[VerificationRow]:
    """Open a bundle as the program does and run its self-test.

    Args:
        folder: The bundle.
        asked: The same one, for what its decoder says.

    Raises:
        BundleError: a file is missing or damaged, or the self-test cannot be read.
    """
    stored = read_selftest(open_bundle(folder))
    encoders = [test for test in stored.tests() if test != "next_logits"]
    rows = _rows(folder, asked, stored, encoders)
    for key, exact in (("logits", False), ("logits_exact", True)):
        if key in stored.tolerances:
            rows += _rows(folder, asked, stored, ["next_logits"], exact)
    return rows


@giving_back
def _rows(
    folder: Path,
    asked: AskedBundle,
    stored: Stored,
    tests: Sequence[Test],
    exact: bool = False,
) -> list[VerificationRow]:
    # A model of its own, so that the encoders are gone when the decoder is opened.
    model = engines.load(folder, device="cpu", exact=exact, keep_encodings=False, prepacked_gb=0)
    rows = []
    for test in tests:
        got = run_test(
            test,
            stored,
            lambda graph, feeds: model.sessions.get(graph).run(feeds),
            lambda embeds: asked.next_logits(embeds, exact),
            model.embed,
        )
        name, wanted = f"{test}_exact" if exact else test, stored.arrays[OUTPUTS[test]]
        rows.append(measure(name, got, wanted, stored.limit(test, exact)))
    return rows
