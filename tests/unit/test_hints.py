"""What a hint names can be typed as it stands, and works."""

from __future__ import annotations

from stack.operations.planning import version_differs


def test_data_of_an_older_version_hints_at_the_upgrade() -> None:
    assert "`stackctl upgrade db --to 18`" in version_differs("db", 17, "18").hint


def test_data_of_a_newer_version_hints_at_its_version_alone() -> None:
    hint = version_differs("db", 18, "17").hint
    assert "version=18" in hint
    assert "upgrade" not in hint
