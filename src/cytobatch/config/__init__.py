"""Options, job specs, environment, presets. Pure but for `environment`."""
