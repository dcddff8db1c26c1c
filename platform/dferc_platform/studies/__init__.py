"""Studies: questions made of many runs, each ending in a report that MLflow holds too."""
