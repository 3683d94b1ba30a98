"""From the numbers of runs to tables and curves; loads neither torch nor mmdet."""
