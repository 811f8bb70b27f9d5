"""witnd for agents that speak the Model Context Protocol: a thin layer over `witnd.client`.

Needs the extra `mcp`; nothing else of witnd imports this.
"""
