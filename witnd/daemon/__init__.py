"""Where the parts meet: assembly, signals and health of the running process."""
