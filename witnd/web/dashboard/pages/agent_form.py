"""Writing an agent: a condition that is put together from checks, and tried before it is saved."""
