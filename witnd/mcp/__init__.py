"""An MCP server over `witnd.client`. Requires the extra `mcp`.

Imports `client`.
"""
