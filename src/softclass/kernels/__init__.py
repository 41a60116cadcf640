"""The same numbers faster: typed doors to the compiled kernels."""
