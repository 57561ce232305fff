"""What a run consists of: options -> names -> objects -> cells."""
