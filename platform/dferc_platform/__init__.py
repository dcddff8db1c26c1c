"""What runs the science: training on many workers, sweeps, tracking, studies, reports and the command line."""
