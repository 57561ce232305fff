"""How the shipped model ``tiny`` is made: questions -> batches -> network -> train -> checkpoint."""
