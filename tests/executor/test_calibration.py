"""The file of a fit says how far to trust it."""

from __future__ import annotations

from pathlib import Path

import pytest

from iopopt import Cluster, load_cluster

pytest.importorskip("torch", reason="the extra 'run' is not installed")

from iopopt.executor.calibration import TRUSTED_RESIDUAL, Fit, describe_fit, doubts, write_cluster


@pytest.mark.parametrize(
    ("compute", "communication", "doubted"),
    [
        (0.0, 0.0, []),
        (TRUSTED_RESIDUAL, 0.1, []),
        (3.34, 0.3, ["computation"]),
        (0.1, 0.31, ["communication"]),
        (1.0, 2.0, ["computation", "communication"]),
    ],
)
def test_large_residuals_are_doubted(trio_cluster: Cluster, tmp_path: Path, compute: float, communication: float, doubted: list[str]) -> None:
    """Above the threshold, and only there, the part is named with residual, threshold, causes and a remedy; the file repeats it, and loads."""
    fit = Fit(trio_cluster, compute, communication, ())
    found = doubts(fit)
    assert [sentence.split(" by ")[0].rsplit(" ", 1)[1] for sentence in found] == doubted
    residuals = {"computation": compute, "communication": communication}
    for part, sentence in zip(doubted, found, strict=True):
        for words in (f"{residuals[part]:.0%} of their mean", "above 30%", "Usual causes: ", "Calibrate on a network with longer operators"):
            assert words in sentence
    write_cluster(fit, tmp_path / "fitted.yaml")
    text = (tmp_path / "fitted.yaml").read_text(encoding="utf-8")
    assert [line.removeprefix("# warning: ") for line in text.splitlines() if line.startswith("# warning: ")] == found
    assert load_cluster(tmp_path / "fitted.yaml") == trio_cluster


def test_a_fit_says_what_a_residual_is(trio_cluster: Cluster) -> None:
    """Its figures stand beside its definition."""
    text = describe_fit(Fit(trio_cluster, 0.125, 0.25, ("link of d0",)))
    assert "residual (root mean square of measured minus fitted time, over the mean measured time): computation 12.5%, communication 25.0%" in text
    assert "not exercised, kept as given: link of d0" in text
