"""The benchmark of the Python tool runs on a little work and reports what it measured."""

from benchmarks import python_sandbox


async def test_the_python_sandbox_is_measured_beside_a_bare_process():
    rows = await python_sandbox.everything(times=1, processes=1)
    assert [row["what"] for row in rows] == [
        "first call of a process",
        "new tool",
        "new conversation",
        "further call",
        "further call, with a function",
        "python -c",
        "python -I -S -c",
        "a session's process",
    ]
    assert all(row["ms"] > 0 for row in rows[:-1])
    assert rows[-1]["MiB"] > 0
