"""Measuring graphs on a user's data: datasets, metrics, runs, reports and ablation."""
