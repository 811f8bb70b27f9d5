"""The fold of one partition, and the pipeline that feeds it. Knows of no Redis: the store is handed in."""
