"""One module for each resource. Importing them is what makes their routes known."""
