"""An agent with the tools of the folder `tools`: add yours there."""

from agentkit import create_tool_agent
from tools import data, python, web

graph = create_tool_agent(None, [*data.tools, *python.tools, *web.tools], name="agent")
