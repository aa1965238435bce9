"""A run that was killed between tool calls goes on, and makes no completed write again."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.databases import fresh_database

PROGRAM = Path(__file__).parent / "durable_agent.py"
KILLED = 9


def run(kind, where, folder, how):
    command = [sys.executable, PROGRAM, kind, where, folder, how]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stderr


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    if request.param == "sqlite":
        yield "sqlite", str(tmp_path / "checkpoints.sqlite")
        return
    with fresh_database("postgresql", tmp_path) as url:
        plain = url.set(drivername="postgresql")
        yield "postgresql", plain.render_as_string(hide_password=False)


@pytest.mark.parametrize("how", ["one after the other", "together"])
def test_a_write_that_completed_is_not_made_again(place, tmp_path, how):
    code, told = run(*place, tmp_path, how)
    assert code == KILLED, told
    assert (tmp_path / "log.txt").read_text() == "paid 5\n"

    code, told = run(*place, tmp_path, how)

    assert code == 0, told
    assert (tmp_path / "log.txt").read_text().splitlines() == [
        "paid 5",
        "reported",
        "Paid and reported.",
    ]
