"""`witnd` that waits 3 s for a silent server at the start, instead of 30 s.

Run as `python -m tests.support.short_start_wait`.
"""

from witnd.daemon.process import gate

if __name__ == "__main__":
    from witnd.cli.main import main

    gate.SILENT_SECONDS = 3.0  # type: ignore[misc]
    main()
