"""From cells to a frozen DAG of tasks."""
