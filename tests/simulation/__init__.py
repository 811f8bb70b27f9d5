"""Several daemons over one store model, in virtual time: see README.md."""
