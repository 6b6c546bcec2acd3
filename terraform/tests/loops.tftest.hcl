# If source and results are one bucket, a job's output must not start a job: the plan fails.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  source_bucket  = "plates"
  results_bucket = "plates"
}

run "beside_each_other" {
  command = plan

  assert {
    condition     = length(aws_s3_bucket.this) == 0 && output.deployment.destination_uri == "s3://plates/profiles" && output.deployment.source_uri == "s3://plates/uploads"
    error_message = "The bucket given is not used as it is."
  }
}

run "a_name_that_only_begins_alike" {
  command = plan

  variables {
    source_prefix      = "plates"
    destination_prefix = "plates-out"
  }

  assert {
    condition     = local.rules["sqlite"].key == "plates/*.sqlite"
    error_message = "The rule's pattern takes plates-out for plates."
  }
}

run "destination_below_source" {
  command = plan

  variables {
    source_prefix      = "screen"
    destination_prefix = "screen/profiles/"
  }

  expect_failures = [var.destination_prefix]
}

run "source_below_destination" {
  command = plan

  variables {
    source_prefix      = "screen/uploads"
    destination_prefix = "screen"
  }

  expect_failures = [var.destination_prefix]
}

run "the_same_prefix" {
  command = plan

  variables {
    source_prefix      = "screen/"
    destination_prefix = "screen"
  }

  expect_failures = [var.destination_prefix]
}

run "source_is_the_whole_bucket" {
  command = plan

  variables {
    source_prefix = ""
  }

  expect_failures = [var.destination_prefix]
}

run "destination_is_the_whole_bucket" {
  command = plan

  variables {
    destination_prefix = ""
  }

  expect_failures = [var.destination_prefix]
}

run "jobs_below_source" {
  command = plan

  variables {
    jobs_prefix = "uploads/jobs"
  }

  expect_failures = [var.jobs_prefix]
}

run "source_below_jobs" {
  command = plan

  variables {
    source_prefix = "jobs/uploads"
  }

  expect_failures = [var.jobs_prefix]
}

run "profiles_would_expire_with_jobs" {
  command = plan

  variables {
    source_bucket      = null
    results_bucket     = null
    destination_prefix = "jobs/profiles"
  }

  expect_failures = [var.jobs_prefix]
}

run "two_buckets_may_have_one_prefix" {
  command = plan

  variables {
    results_bucket     = "profiles"
    source_prefix      = ""
    destination_prefix = "screen"
  }

  assert {
    condition     = local.rules["sqlite"].key == "*.sqlite" && output.deployment.source_uri == "s3://plates"
    error_message = "The whole source bucket is not watched."
  }
}
