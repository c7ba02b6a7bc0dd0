"""In a Git worktree the default instance is called after it, so that two checkouts share no data by accident."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stack.errors import StackError
from stack.record import Record
from stack.settings import Settings
from stack.state import State
from stack.workflow.opening import look
from stack.workflow.parents import find_parent
from stack.worktrees import find_checkout, find_checkouts

STACK = "from stack import Stack, WebApp\nstack = Stack('{}', [WebApp('web', source='.', command=['serve'])])\n"


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """The main checkout of a repository with a stack file."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "stackfile.py").write_text(STACK.format("shop"))
    git(folder, "init", "--initial-branch", "main")
    git(folder, "add", ".")
    git(folder, "commit", "--message", "Begin")
    return folder


def worktree(main: Path, name: str, branch: str = "feature") -> Path:
    git(main, "worktree", "add", "-b", branch, str(main.parent / name))
    return main.parent / name


def name_in(folder: Path, **variables: str) -> str:
    return look(Settings.read({"STACKCTL_ENGINE": "embedded", **variables}, folder)).instance.name


def test_the_main_checkout_has_the_instance_of_the_stack(main: Path) -> None:
    assert name_in(main) == "shop"


def test_a_worktree_has_an_instance_of_its_own(main: Path) -> None:
    assert name_in(worktree(main, "new-cart")) == "shop-new-cart"


def test_a_worktree_in_a_shared_state_shares_no_instance(main: Path, tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    assert name_in(main, STACKCTL_STATE=state) != name_in(worktree(main, "other"), STACKCTL_STATE=state)


def test_two_stacks_of_a_worktree_share_no_instance(main: Path) -> None:
    folder = worktree(main, "other")
    (folder / "blog.py").write_text(STACK.format("blog"))
    assert name_in(folder, STACKCTL_FILE="blog.py") == "blog-other"


@pytest.mark.parametrize(
    ("folder", "named"),
    [("Cart_2.0 now", "shop-cart-2-0-now"), ("ünï", "shop-n"), ("x" * 40, f"shop-{'x' * 19}-")],
)
def test_the_name_of_a_worktree_becomes_that_of_an_instance(main: Path, folder: str, named: str) -> None:
    name = name_in(worktree(main, folder))
    assert name.startswith(named)
    assert len(name) <= 31


def test_an_instance_that_is_asked_for_is_taken(main: Path) -> None:
    assert name_in(worktree(main, "other"), STACKCTL_INSTANCE="review") == "review"


def test_an_instance_of_before_is_kept(main: Path) -> None:
    folder = worktree(main, "other")
    State(folder / ".stackctl" / "shop").remember(Record("stackctl-shop-123456", {}, "embedded"))
    assert name_in(folder) == "shop"


def test_a_folder_in_a_worktree_and_a_submodule_are_told_apart(main: Path) -> None:
    inner = worktree(main, "other") / "apps"
    inner.mkdir()
    (main / "module").mkdir()
    (main / "module" / ".git").write_text("gitdir: ../.git/modules/module\n")
    found = find_checkout(inner)
    assert found is not None
    assert (found.root, found.name, found.branch) == (inner.parent, "other", "feature")
    assert find_checkout(main / "module") is None


@pytest.mark.parametrize("text", ["", "gitdir:", "nonsense\n", "\udcff"])
def test_a_damaged_link_is_no_worktree(tmp_path: Path, text: str) -> None:
    (tmp_path / ".git").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert find_checkout(tmp_path) is None


def test_all_checkouts_are_found_from_each(main: Path) -> None:
    other = worktree(main, "other")
    for folder in (main, other):
        found = find_checkout(folder)
        assert found is not None
        assert [(each.root, each.branch) for each in find_checkouts(found)] == [(main, "main"), (other, "feature")]


@pytest.mark.parametrize("asked", ["main", "shop"])
def test_the_default_instance_of_the_main_checkout_is_found(main: Path, asked: str) -> None:
    (main / ".stackctl" / "shop").mkdir(parents=True)
    State(main / ".stackctl" / "shop").remember(Record("stackctl-shop-123456", {}, "embedded"))
    theirs = find_parent(Settings.read({}, worktree(main, "other")), asked)
    assert look(theirs).state.folder == main / ".stackctl" / "shop"


@pytest.mark.parametrize("asked", ["cart", "Feature/cart"])
def test_a_worktree_is_found_by_its_name_and_its_branch(main: Path, asked: str) -> None:
    cart = worktree(main, "cart", "Feature/cart")
    theirs = find_parent(Settings.read({}, worktree(main, "other", "other")), asked)
    assert (theirs.file, look(theirs).state.folder) == (cart / "stackfile.py", cart / ".stackctl" / "shop-cart")


def test_an_instance_here_comes_before_a_checkout_of_its_name(main: Path) -> None:
    State(main / ".stackctl" / "main").remember(Record("stackctl-main-123456", {}, "embedded"))
    here = Settings.read({}, main)
    assert look(find_parent(here, "main")).state.folder == here.state_root / "main"


def test_what_is_neither_instance_nor_checkout_is_refused(main: Path, tmp_path: Path) -> None:
    for folder in (main, tmp_path):
        with pytest.raises(StackError) as raised:
            find_parent(Settings.read({}, folder), "nothing")
        assert raised.value.code == "branch-unknown"
