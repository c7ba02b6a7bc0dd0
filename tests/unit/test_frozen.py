"""`stack.frozen.dataclass` makes what the standard library's makes of the same class."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, FrozenInstanceError, asdict, field, fields, replace
from typing import Any, ClassVar, NamedTuple

import pytest

from stack import frozen

Decorate = Callable[[type], Any]


class _Classes(NamedTuple):
    """Three classes made by one of the decorators."""

    Empty: Any
    Base: Any
    Special: Any


def _made(decorate: Decorate) -> _Classes:
    @decorate
    class Empty:
        pass

    @decorate
    class Base:
        kind: ClassVar[str] = "base"

        name: str
        number: int = 3
        labels: Mapping[str, str] = field(default_factory=dict)
        secret: str = field(default="hidden", repr=False, compare=False)
        _: KW_ONLY
        words: tuple[str, ...] = ()

        def __post_init__(self) -> None:
            if self.number < 0:
                raise ValueError(self.number)

    @decorate
    class Special(Base):
        number: int = 4
        more: str = field(kw_only=True, default="")

        def __repr__(self) -> str:
            return f"special {self.name}"

    return _Classes(Empty, Base, Special)


OURS = _made(frozen.dataclass(frozen=True))
STANDARD = _made(dataclasses.dataclass(frozen=True))
BOTH = pytest.mark.parametrize("classes", [OURS, STANDARD], ids=["ours", "standard"])


@frozen.dataclass(frozen=True)
class Kept:
    """A class with a name that `pickle` finds."""

    one: str
    two: tuple[int, ...] = ()


@BOTH
def test_arguments_are_taken_in_order_and_have_defaults(classes: _Classes) -> None:
    one = classes.Base("a", 5, words=("x",))
    assert (one.name, one.number, one.labels, one.secret, one.words) == ("a", 5, {}, "hidden", ("x",))
    assert classes.Base("a").labels is not classes.Base("a").labels, "each object has a mapping of its own"
    assert classes.Special("a").number == 4
    assert classes.Base.number == 3, "a default is the class's attribute too"
    assert not hasattr(classes.Base, "labels")


@BOTH
def test_wrong_arguments_are_refused_with_the_name_of_the_class(classes: _Classes) -> None:
    with pytest.raises(TypeError, match=r"Special\.__init__\(\) missing 1 required positional argument: 'name'"):
        classes.Special()
    with pytest.raises(TypeError, match=r"Base\.__init__\(\) got an unexpected keyword argument 'nam'"):
        classes.Base("a", nam="b")
    with pytest.raises(TypeError, match="positional arguments"):
        classes.Base("a", 1, {}, "", ("x",))
    with pytest.raises(ValueError, match="-1"):
        classes.Base("a", -1)


@BOTH
def test_objects_of_one_class_with_equal_fields_are_equal(classes: _Classes) -> None:
    assert classes.Base("a", secret="b") == classes.Base("a"), "a field that is not compared"
    assert classes.Base("a") != classes.Base("b")
    assert classes.Base("a", 4) != classes.Special("a"), "another class is another value"
    assert classes.Base("a") != "a"
    assert classes.Empty() == classes.Empty()
    assert hash(classes.Base("a", labels=())) == hash(classes.Base("a", labels=(), secret="b"))
    with pytest.raises(TypeError, match="unhashable"):
        hash(classes.Base("a"))


@BOTH
def test_nothing_can_be_assigned_or_deleted(classes: _Classes) -> None:
    one = classes.Special("a")
    for name in ("name", "more", "unknown"):
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(one, name, "b")
        with pytest.raises(FrozenInstanceError, match=f"cannot delete field '{name}'"):
            delattr(one, name)
    assert one.name == "a"


@BOTH
def test_a_plain_subclass_may_have_attributes_of_its_own(classes: _Classes) -> None:
    class Plain(classes.Base):  # type: ignore[name-defined, misc]
        pass

    one = Plain("a")
    one.other = 1
    assert one.other == 1
    del one.other
    with pytest.raises(FrozenInstanceError):
        one.name = "b"


@BOTH
def test_the_standard_decorator_takes_it_as_a_base(classes: _Classes) -> None:
    @dataclasses.dataclass(frozen=True)
    class Own(classes.Base):  # type: ignore[name-defined, misc]
        more: int = 7

    assert [each.name for each in fields(Own)] == ["name", "number", "labels", "secret", "words", "more"]
    assert Own("a", words=("x",)) == Own("a", more=7, words=("x",))
    assert "more=7" in repr(Own("a"))
    with pytest.raises(TypeError, match="cannot inherit non-frozen"):
        dataclasses.dataclass(type("Loose", (classes.Base,), {}))


@BOTH
def test_it_is_replaced_copied_matched_and_shown(classes: _Classes) -> None:
    one = classes.Base("a", labels={"x": "y"})
    assert replace(one, number=7).number == 7
    assert copy.deepcopy(one) == one
    assert asdict(one) == {"name": "a", "number": 3, "labels": {"x": "y"}, "secret": "hidden", "words": ()}
    assert repr(one).endswith("Base(name='a', number=3, labels={'x': 'y'}, words=())")
    assert repr(classes.Special("a")) == "special a", "a method of the class stays"
    assert repr(classes.Empty()).endswith("Empty()")
    match one:
        case classes.Base(name, number):
            assert (name, number) == ("a", 3)
        case _:
            pytest.fail("it is not matched by position")


def test_fields_and_signatures_are_those_of_the_standard_one() -> None:
    for ours, standard in zip(OURS, STANDARD, strict=True):
        assert str(inspect.signature(ours)) == str(inspect.signature(standard))
        assert ours.__match_args__ == standard.__match_args__
        assert dataclasses.is_dataclass(ours)
        assert [_described(each) for each in fields(ours)] == [_described(each) for each in fields(standard)]


def test_an_object_is_pickled() -> None:
    one = Kept("a", (1, 2))
    assert pickle.loads(pickle.dumps(one)) == one


def _described(each: dataclasses.Field[Any]) -> tuple[object, ...]:
    return each.name, each.type, each.default, each.default_factory, each.repr, each.compare, each.kw_only, each.init
