"""Many runs."""

COUNT = 200  # runs with random picks that a run is compared with
