"""What happened: the blotter, the figures, the files, analyzers and observers."""
