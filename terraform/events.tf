# S3's events become jobs. There is a rule for each kind of object; its target fills in the job's parameters from the event.

locals {
  # In a pattern * matches any text. Prefixes cannot contain a character with a special meaning.
  rules = { for kind, rule in {
    sqlite = {
      description = "A SQLite file is a plate"
      key         = "${local.source_folder}*.sqlite"
      parameters  = local.plate_parameters
    }
    success = {
      description = "The marker _SUCCESS in a plate's folder means that its files are complete"
      key         = "${local.source_folder}*/_SUCCESS"
      parameters  = local.plate_parameters
    }
    spec = {
      description = "A job spec names its plates and their destinations"
      key         = "${local.source_folder}*.cytobatch.json"
      parameters  = <<-EOT
        "spec": "s3://<bucket>/<key>"
      EOT
    }
  } : kind => rule if var.events[kind] }

  # cytobatch replaces {plate} by the plate's name: the file's name without its suffix, or the marker's folder.
  plate_parameters = <<-EOT
    "source": "s3://<bucket>/<key>", "destination": "${local.destination_uri}/{plate}"
  EOT
}

resource "aws_cloudwatch_event_rule" "uploads" {
  for_each = local.rules

  name        = "${var.name}-${each.key}"
  description = each.value.description
  tags        = local.tags

  event_pattern = jsonencode({
    source      = ["aws.s3"]
    detail-type = ["Object Created"]
    detail = {
      bucket = { name = [local.source_bucket] }
      object = { key = [{ wildcard = each.value.key }] }
    }
  })
}

resource "aws_cloudwatch_event_target" "uploads" {
  for_each = aws_cloudwatch_event_rule.uploads

  rule      = each.value.name
  target_id = "job"
  arn       = aws_batch_job_queue.events[0].arn
  role_arn  = aws_iam_role.events[0].arn

  # No job_attempts: it would replace the definition's retry strategy.
  batch_target {
    job_definition = local.definitions[var.events_compute]
    job_name       = "${var.name}-${each.key}"
  }

  # Within quotes <key> is inserted unchanged. It is a parameter, which AWS Batch passes to the program as one argument,
  # spaces included. An event may be delivered twice: the second job finds the report of the first and ends. Two folders may
  # have a plate of one name: the second is refused, because it would replace the first.
  input_transformer {
    input_paths = {
      bucket = "$.detail.bucket.name"
      key    = "$.detail.object.key"
    }

    # Not by jsonencode, which would write < and > as \u003c and \u003e.
    input_template = trimspace(<<-EOT
      {"Parameters": {${trimspace(local.rules[each.key].parameters)}}, "ContainerOverrides": {"Environment": [{"Name": "CYTOBATCH_SKIP_DONE", "Value": "true"}, {"Name": "CYTOBATCH_REPLACE", "Value": "false"}]}}
    EOT
    )
  }

  retry_policy {
    maximum_event_age_in_seconds = var.event_max_age_hours * 3600
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }
}

# Events that could not be made into a job, and messages on failures that could not be delivered

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-dead-letters"
  message_retention_seconds = 14 * 24 * 3600
  sqs_managed_sse_enabled   = true
  tags                      = local.tags
}

data "aws_iam_policy_document" "dead_letters" {
  statement {
    sid       = "Events"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.dead_letters.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = concat([for rule in aws_cloudwatch_event_rule.uploads : rule.arn], [aws_cloudwatch_event_rule.failed.arn])
    }
  }
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  policy    = data.aws_iam_policy_document.dead_letters.json
}
