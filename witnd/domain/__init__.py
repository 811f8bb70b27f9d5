"""What decides: plain synchronous code that takes values and returns values.

Nothing in here waits, reads a clock, draws a random number or knows of Redis and HTTP.
"""
