# From an object to a job: patterns, payloads, what the role may submit, where the rest goes.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

override_resource {
  target          = aws_batch_job_queue.events
  values          = { arn = "arn:aws:batch:eu-central-1:123456789012:job-queue/lab-events" }
  override_during = plan
}

variables {
  name = "lab"
}

run "patterns_are_below_the_source_prefix" {
  command = plan

  variables {
    source_prefix = "screens/2026"
  }

  assert {
    condition = { for kind, rule in aws_cloudwatch_event_rule.uploads : kind => jsondecode(rule.event_pattern).detail.object.key } == {
      spec    = [{ wildcard = "screens/2026/*.cytobatch.json" }]
      sqlite  = [{ wildcard = "screens/2026/*.sqlite" }]
      success = [{ wildcard = "screens/2026/*/_SUCCESS" }]
    }
    error_message = "Rules watch other keys."
  }

  assert {
    condition = alltrue([
      for rule in aws_cloudwatch_event_rule.uploads :
      jsondecode(rule.event_pattern).detail.bucket.name == ["lab-source-123456789012-eu-central-1"] &&
      jsondecode(rule.event_pattern).source == ["aws.s3"] && jsondecode(rule.event_pattern).detail-type == ["Object Created"]
    ])
    error_message = "Rules watch other buckets or other events."
  }
}

run "payloads_are_what_the_target_takes" {
  command = plan

  assert {
    condition = { for kind, target in aws_cloudwatch_event_target.uploads : kind => jsondecode(target.input_transformer[0].input_template) } == {
      for kind, parameters in {
        spec    = { spec = "s3://<bucket>/<key>" }
        sqlite  = { source = "s3://<bucket>/<key>", destination = "s3://lab-results-123456789012-eu-central-1/profiles/{plate}" }
        success = { source = "s3://<bucket>/<key>", destination = "s3://lab-results-123456789012-eu-central-1/profiles/{plate}" }
        } : kind => {
        Parameters         = parameters
        ContainerOverrides = { Environment = [{ Name = "CYTOBATCH_SKIP_DONE", Value = "true" }, { Name = "CYTOBATCH_REPLACE", Value = "false" }] }
      }
    }
    error_message = "A payload has another shape or content."
  }

  assert {
    condition = alltrue([
      for target in aws_cloudwatch_event_target.uploads :
      !strcontains(target.input_transformer[0].input_template, "\\u003c") &&
      target.input_transformer[0].input_paths == tomap({ bucket = "$.detail.bucket.name", key = "$.detail.object.key" })
    ])
    error_message = "<bucket> and <key> are not put in as they are."
  }

  # Attempts given here would replace the definition's retry strategy.
  assert {
    condition = alltrue([
      for target in aws_cloudwatch_event_target.uploads : target.batch_target[0].job_attempts == null && target.arn == aws_batch_job_queue.events[0].arn &&
      length(target.dead_letter_config) == 1 && target.retry_policy[0].maximum_event_age_in_seconds == 21600
    ])
    error_message = "A target retries jobs itself, has another queue or loses what it cannot deliver."
  }

  assert {
    condition     = alltrue([for target in aws_cloudwatch_event_target.uploads : target.batch_target[0].job_definition == aws_batch_job_definition.this["fargate_spot"].arn_prefix])
    error_message = "A target names a revision, which is gone after the next apply, or another definition."
  }
}

run "events_may_submit_one_definition_to_one_queue" {
  command = plan

  assert {
    condition = (
      length(data.aws_iam_policy_document.events[0].statement) == 1 &&
      toset(data.aws_iam_policy_document.events[0].statement[0].actions) == toset(["batch:SubmitJob"]) &&
      toset(data.aws_iam_policy_document.events[0].statement[0].resources) == toset([
        "arn:aws:batch:eu-central-1:123456789012:job-definition/mock", "arn:aws:batch:eu-central-1:123456789012:job-definition/mock:*",
        "arn:aws:batch:eu-central-1:123456789012:job-queue/lab-events",
      ])
    )
    error_message = "EventBridge may submit something else, or elsewhere."
  }

  # A queue with fair share would refuse jobs without a share identifier.
  assert {
    condition     = aws_batch_job_queue.events[0].scheduling_policy_arn == null && aws_batch_job_queue.events[0].priority == 20
    error_message = "The events' queue has fair share, or another priority."
  }
}

run "kinds_of_events_can_be_left_out" {
  command = plan

  variables {
    events = { sqlite = false, success = false }
  }

  assert {
    condition     = keys(aws_cloudwatch_event_rule.uploads) == ["spec"] && keys(aws_cloudwatch_event_target.uploads) == ["spec"]
    error_message = "There are other rules than requested."
  }
}

run "events_can_be_switched_off" {
  command = plan

  variables {
    compute_kinds = ["fargate"]
    events        = { sqlite = false, success = false, spec = false }
  }

  assert {
    condition = length(concat(
      values(aws_cloudwatch_event_rule.uploads), values(aws_cloudwatch_event_target.uploads), aws_batch_job_queue.events, aws_iam_role.events,
    )) == 0
    error_message = "Something of the events is left."
  }

  assert {
    condition     = output.events_queue_arn == null && output.policies.events == null
    error_message = "Outputs name what is not there."
  }

  # Messages on failed jobs are sent all the same.
  assert {
    condition     = aws_cloudwatch_event_target.failed.dead_letter_config[0].arn == aws_sqs_queue.dead_letters.arn && output.dead_letter_queue_url != null
    error_message = "A message that cannot be delivered is lost."
  }
}

run "events_need_compute_that_is_there" {
  command = plan

  variables {
    compute_kinds = ["fargate"]
  }

  expect_failures = [var.events_compute]
}

run "a_failure_sends_one_message" {
  command = plan

  variables {
    notification_email = "screening@example.org"
  }

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.failed.event_pattern).detail == {
      status          = ["FAILED"]
      jobQueue        = [for arn in local.all_queues : arn]
      arrayProperties = { index = [{ exists = false }] }
    } && length(local.all_queues) == 4
    error_message = "Failures of other queues, or those of an array's children, send a message."
  }

  # A reason may contain a quotation mark, which would end the quoted message.
  assert {
    condition = (
      aws_cloudwatch_event_target.failed.input_transformer[0].input_paths == tomap({ id = "$.detail.jobId", name = "$.detail.jobName" }) &&
      jsondecode(aws_cloudwatch_event_target.failed.input_transformer[0].input_template) == "Job <name> (<id>) has failed. See why with: cytobatch status <id>"
    )
    error_message = "A message has something in it that could break it."
  }

  assert {
    condition = (
      aws_cloudwatch_event_target.failed.retry_policy[0].maximum_event_age_in_seconds == 86400 &&
      aws_cloudwatch_event_target.failed.dead_letter_config[0].arn == aws_sqs_queue.dead_letters.arn
    )
    error_message = "A message that cannot be delivered is not tried again, or lost."
  }

  assert {
    condition     = aws_sns_topic_subscription.email[0].endpoint == "screening@example.org"
    error_message = "No message is sent."
  }
}
