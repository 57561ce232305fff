"""Random questions with answers to train on, as token ids: vocabulary, layout -> questions -> mixture."""
