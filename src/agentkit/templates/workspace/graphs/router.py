"""One front door: sends a question, or its parts, to the graph that can answer it."""

from agentkit import Route, create_router
from graphs import agent, rag, text_to_cypher, text_to_sql

graph = create_router(
    None,
    [
        Route("documents", rag.graph, "The shop's rules: returns, delivery, opening hours."),
        Route("shop", text_to_sql.graph, "The shop's database: products, customers and orders."),
        Route("films", text_to_cypher.graph, "A graph of films and the people who made them."),
        Route("agent", agent.graph, "Calculations, and what needs tools or the web."),
        Route("chat", None, "Greetings and small talk."),
    ],
)
