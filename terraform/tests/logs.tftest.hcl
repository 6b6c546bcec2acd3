# Logs in JSON.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name       = "lab"
  log_format = "json"
}

run "jobs_write_json" {
  command = plan

  assert {
    condition = alltrue([
      for definition in aws_batch_job_definition.this :
      contains(jsondecode(definition.container_properties).environment, { name = "CYTOBATCH_LOG_FORMAT", value = "json" })
    ])
    error_message = "Jobs do not write JSON."
  }
}

run "other_formats_are_refused" {
  command = plan

  variables {
    log_format = "xml"
  }

  expect_failures = [var.log_format]
}
