"""Scripts that run in an interpreter of their own (`python -I -S -B`): no imports of ours."""
