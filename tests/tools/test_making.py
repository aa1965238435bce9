"""What every tool of agentkit does: errors that teach, time limits, what it may do."""

import asyncio

import pytest
from langchain_core.tools import tool
from pydantic import BaseModel

from agentkit.errors import ConfigurationError, DatabaseError
from agentkit.tools._making import declared, is_untrusted, make_tool, permission_of


class Asked(BaseModel):
    word: str


def call(made, **arguments):
    return made.invoke({"type": "tool_call", "id": "1", "name": made.name, "args": arguments})


def test_an_error_of_agentkit_is_told_to_the_model():
    async def look(word):
        raise DatabaseError(f"Nothing is known of {word}.")

    message = call(make_tool(look, "Looks.", Asked), word="x")
    assert (message.status, message.content) == ("error", "Nothing is known of x.")


def test_a_call_that_takes_too_long_is_stopped_and_told():
    stopped = []

    async def wait(word):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append(word)
            raise

    message = call(make_tool(wait, "Waits.", Asked, timeout=0.05), word="x")
    assert message.status == "error"
    assert message.content == "It took longer than 0.05 seconds."
    assert stopped == ["x"]


def test_a_tool_says_what_it_may_do_and_whether_to_trust_it():
    async def send(word):
        return word, {}

    made = make_tool(send, "Sends.", Asked, permission="danger", untrusted=True)
    assert (permission_of(made), is_untrusted(made)) == ("danger", True)
    assert (permission_of(declared(made, permission="read")), permission_of(made)) == (
        "read",
        "danger",
    )


def test_a_tool_of_the_user_is_taken_to_write_until_it_says_otherwise():
    @tool
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    assert (permission_of(add), is_untrusted(add)) == ("write", False)
    reads = declared(add, permission="read")
    assert permission_of(reads) == "read"
    assert reads.invoke({"a": 1, "b": 2}) == 3


def test_a_permission_that_does_not_exist_is_refused():
    @tool
    def nothing() -> None:
        """Do nothing."""

    with pytest.raises(ConfigurationError, match="'read', 'write', 'danger'; got 'all'"):
        declared(nothing, permission="all")
