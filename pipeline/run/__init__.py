"""Running a plan: store, scheduler, and one module for each kind of task."""
