"""The pytest plugin: it joins the decoders and the task specs, keeps records, and gates on them."""
