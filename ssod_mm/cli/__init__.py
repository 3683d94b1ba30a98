"""What the command-line tools share; importing it loads neither torch nor mmdet."""
