"""Options, job specs, environment, presets. Pure, except for `environment` and `variables`."""
