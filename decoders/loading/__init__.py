"""From a name or folder to a checkpoint's files, configuration and weights."""
