"""Ready-made LangGraph graphs for advanced retrieval-augmented generation.

Every public name is imported when it is first used, so that `import agentkit` costs next to
nothing and optional dependencies stay optional.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit._lazy import lazy_names

if TYPE_CHECKING:
    from agentkit.databases.graph import GraphDatabase
    from agentkit.databases.ladybug import LadybugDatabase
    from agentkit.databases.neo4j import Neo4jDatabase
    from agentkit.databases.neo4j_retriever import Neo4jRetriever
    from agentkit.databases.sql import SQLDatabase
    from agentkit.display import show
    from agentkit.drawing import Drawing, draw
    from agentkit.errors import AgentkitError
    from agentkit.evaluation.ablation import ablate
    from agentkit.evaluation.runner import aevaluate, evaluate
    from agentkit.graphs.fusion_rag import create_fusion_rag
    from agentkit.graphs.hyde_rag import create_hyde_rag
    from agentkit.graphs.memory_chat import create_memory_chat
    from agentkit.graphs.rag import create_rag
    from agentkit.graphs.retriever import GraphRetriever
    from agentkit.graphs.router import create_router
    from agentkit.graphs.routes import Route
    from agentkit.graphs.text_to_cypher import create_text_to_cypher
    from agentkit.graphs.text_to_sql import create_text_to_sql
    from agentkit.graphs.tool_agent import create_tool_agent
    from agentkit.models import chat_model, embeddings
    from agentkit.optimization.optimizing import aoptimize, optimize
    from agentkit.prompts import Prompt, PromptSet, prompts_of
    from agentkit.retrieval.index import Index
    from agentkit.retrieval.ingestion import aingest, ingest
    from agentkit.retrieval.sources import Source

__all__ = [
    "AgentkitError",
    "Drawing",
    "GraphDatabase",
    "GraphRetriever",
    "Index",
    "LadybugDatabase",
    "Neo4jDatabase",
    "Neo4jRetriever",
    "Prompt",
    "PromptSet",
    "Route",
    "SQLDatabase",
    "Source",
    "ablate",
    "aevaluate",
    "aingest",
    "aoptimize",
    "chat_model",
    "create_fusion_rag",
    "create_hyde_rag",
    "create_memory_chat",
    "create_rag",
    "create_router",
    "create_text_to_cypher",
    "create_text_to_sql",
    "create_tool_agent",
    "draw",
    "embeddings",
    "evaluate",
    "ingest",
    "optimize",
    "prompts_of",
    "show",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AgentkitError": "errors",
        "Drawing": "drawing",
        "GraphDatabase": "databases.graph",
        "GraphRetriever": "graphs.retriever",
        "Index": "retrieval.index",
        "LadybugDatabase": "databases.ladybug",
        "Neo4jDatabase": "databases.neo4j",
        "Neo4jRetriever": "databases.neo4j_retriever",
        "Prompt": "prompts",
        "PromptSet": "prompts",
        "Route": "graphs.routes",
        "SQLDatabase": "databases.sql",
        "Source": "retrieval.sources",
        "ablate": "evaluation.ablation",
        "aevaluate": "evaluation.runner",
        "aingest": "retrieval.ingestion",
        "aoptimize": "optimization.optimizing",
        "chat_model": "models",
        "create_fusion_rag": "graphs.fusion_rag",
        "create_hyde_rag": "graphs.hyde_rag",
        "create_memory_chat": "graphs.memory_chat",
        "create_rag": "graphs.rag",
        "create_router": "graphs.router",
        "create_text_to_cypher": "graphs.text_to_cypher",
        "create_text_to_sql": "graphs.text_to_sql",
        "create_tool_agent": "graphs.tool_agent",
        "draw": "drawing",
        "embeddings": "models",
        "evaluate": "evaluation.runner",
        "ingest": "retrieval.ingestion",
        "optimize": "optimization.optimizing",
        "prompts_of": "prompts",
        "show": "display",
    },
)
