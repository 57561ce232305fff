"""How a model is trained: examples given from outside -> masked batch -> loss -> weights -> checkpoint."""
