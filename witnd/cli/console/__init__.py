"""What commands share: connection, options, output, exit codes.

Imports `store` and `config`.
"""
