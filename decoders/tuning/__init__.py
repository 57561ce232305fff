"""How a loaded model is trained further: examples from outside -> noise -> loss -> weights -> folder."""
