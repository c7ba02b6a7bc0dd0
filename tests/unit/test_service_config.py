"""The environment is read once, and what is wrong with it is told by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.config import VARIABLES, Config, ConfigError

LEAST = {"DB_HOST": "db", "DB_NAME": "notes", "DB_USER": "student", "CACHE_HOST": "cache"}


def test_four_variables_are_enough() -> None:
    assert Config.from_environment(LEAST) == Config("db", 5432, "notes", "student", None, "cache", 6379, None, 300)


def test_every_variable_is_read(tmp_path: Path) -> None:
    files = {"DB_PASSWORD_FILE": "d", "CACHE_PASSWORD_FILE": "c"}
    for content in files.values():
        (tmp_path / content).write_text(content)
    rest = {"DB_PORT": "1", "CACHE_PORT": "65535", "CACHE_TTL": "7"}
    environment = LEAST | rest | {name: str(tmp_path / content) for name, content in files.items()}
    assert environment.keys() == VARIABLES.keys()
    assert Config.from_environment(environment) == Config(
        "db", 1, "notes", "student", tmp_path / "d", "cache", 65535, "c", 7
    )


@pytest.mark.parametrize("name", LEAST)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_or_empty_variable_is_named(name: str, value: str | None) -> None:
    environment = {key: text for key, text in LEAST.items() if key != name} | ({} if value is None else {name: value})
    with pytest.raises(ConfigError, match=f"^{name} is not set; set it to, for example, "):
        Config.from_environment(environment)


@pytest.mark.parametrize("name", ["DB_PORT", "CACHE_PORT", "CACHE_TTL"])
@pytest.mark.parametrize(
    "value", ["0", "-1", "1.5", "five", " 5", "31536001", "٣", "²", pytest.param("9" * 5000, id="long")]
)
def test_what_is_no_number_in_the_range_is_named_and_shown(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as error:
        Config.from_environment(LEAST | {name: value})
    assert str(error.value).startswith(f"{name} is {value!r}, which is not a ")


@pytest.mark.parametrize("name", ["DB_PORT", "CACHE_PORT"])
def test_there_is_no_port_above_65535(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is '65536', which is not a port"):
        Config.from_environment(LEAST | {name: "65536"})


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"s3cret", "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b" a b\t\n", " a b\t"),
        ("é".encode(), "é"),
    ],
)
def test_a_password_is_the_content_of_its_file_without_the_line_end(
    content: bytes, password: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(content)
    config = Config.from_environment(LEAST | {"DB_PASSWORD_FILE": str(tmp_path / "file")})
    assert config.db_password() == password


def test_the_databases_password_is_read_again_each_time(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old", encoding="utf-8")
    config = Config.from_environment(LEAST | {"DB_PASSWORD_FILE": str(file)})
    file.write_text("new", encoding="utf-8")
    assert config.db_password() == "new"
    file.unlink()
    assert config.db_password() == "", "which the server refuses, until the file is there again"


@pytest.mark.parametrize("name", ["DB_PASSWORD_FILE", "CACHE_PASSWORD_FILE"])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, r"cannot be read \(No such file or directory\)"),
        (b"\xff", r"cannot be read \(not UTF-8 text\)"),
        (b"", "is empty"),
        (b"\n", "is empty"),
    ],
)
def test_a_password_file_that_is_of_no_use_is_named(
    name: str, content: bytes | None, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"^{name} names '{path}', which {problem}"):
        Config.from_environment(LEAST | {name: str(path)})


def test_a_password_is_in_no_representation(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("s3cret")
    files = {name: str(tmp_path / "file") for name in ("DB_PASSWORD_FILE", "CACHE_PASSWORD_FILE")}
    assert "s3cret" not in repr(Config.from_environment(LEAST | files))
