"""`python -m witnd`: the command line, for whoever has the package and no script on the path."""

from witnd.cli.main import main

if __name__ == "__main__":
    main(prog_name="witnd")
