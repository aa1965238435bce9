"""A sandbox for calculations: no files, no network, nothing of this process."""

from agentkit.tools import python_tool

tools = [python_tool()]
