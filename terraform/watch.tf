# Monitoring: messages on failed jobs and undelivered events, alarms, a dashboard.

locals {
  all_queues = concat(values(local.queues), aws_batch_job_queue.events[*].arn)
}

resource "aws_sns_topic" "this" {
  #checkov:skip=CKV_AWS_26:EventBridge cannot publish to a topic under SNS's own key, and a key of ours would cost at rest; messages name jobs and reasons
  name = "${var.name}-notifications"
  tags = local.tags
}

data "aws_iam_policy_document" "topic" {
  statement {
    sid       = "FailedJobs"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudwatch_event_rule.failed.arn]
    }
  }

  statement {
    sid       = "Alarms"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_sns_topic_policy" "this" {
  arn    = aws_sns_topic.this.arn
  policy = data.aws_iam_policy_document.topic.json
}

resource "aws_sns_topic_subscription" "email" {
  count = var.notification_email == null ? 0 : 1

  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = var.notification_email
}

# Failed jobs. A child of an array job sends no message of its own: its parent fails with it, once.

resource "aws_cloudwatch_event_rule" "failed" {
  name        = "${var.name}-failed"
  description = "A job of ${var.name} has failed for good"
  tags        = local.tags

  event_pattern = jsonencode({
    source      = ["aws.batch"]
    detail-type = ["Batch Job State Change"]
    detail = {
      status          = ["FAILED"]
      jobQueue        = local.all_queues
      arrayProperties = { index = [{ exists = false }] }
    }
  })
}

resource "aws_cloudwatch_event_target" "failed" {
  rule      = aws_cloudwatch_event_rule.failed.name
  target_id = "notification"
  arn       = aws_sns_topic.this.arn

  # Without the reason: EventBridge escapes nothing, and a quotation mark in it would lose the message.
  input_transformer {
    input_paths = {
      id   = "$.detail.jobId"
      name = "$.detail.jobName"
    }

    input_template = trimspace(<<-EOT
      "Job <name> (<id>) has failed. See why with: cytobatch status <id>"
    EOT
    )
  }

  retry_policy {
    maximum_event_age_in_seconds = 24 * 3600
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }
}

# Alarms

resource "aws_cloudwatch_metric_alarm" "failed_jobs" {
  count = var.alarms ? 1 : 0

  alarm_name          = "${var.name}-failed-jobs"
  alarm_description   = "Jobs have failed within the last hour; the topic has a message on each."
  namespace           = "AWS/Events"
  metric_name         = "TriggeredRules"
  dimensions          = { RuleName = aws_cloudwatch_event_rule.failed.name }
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  count = var.alarms ? 1 : 0

  alarm_name          = "${var.name}-dead-letters"
  alarm_description   = "Uploads have started no job, or messages on failed jobs were not delivered: the events are in the dead-letter queue, each with the reason."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letters.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.this.arn]
  tags                = local.tags
}

# Dashboard

locals {
  rule_metrics = [
    for rule in concat(values(aws_cloudwatch_event_rule.uploads)[*].name, [aws_cloudwatch_event_rule.failed.name]) :
    ["AWS/Events", "TriggeredRules", "RuleName", rule, { label = rule }]
  ]
  delivery_metrics = concat(
    [for rule in values(aws_cloudwatch_event_rule.uploads)[*].name : ["AWS/Events", "FailedInvocations", "RuleName", rule, { label = "${rule}: refused" }]],
    [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", aws_sqs_queue.dead_letters.name, { label = "dead letters", stat = "Maximum" }]],
  )
  log_query = "SOURCE '${aws_cloudwatch_log_group.jobs.name}' | fields @timestamp, @logStream, @message | filter @message like /(?i)error/ | sort @timestamp desc | limit 50"
  charts = [
    for chart in [
      { title = "Uploads that started jobs, and failed jobs", metrics = local.rule_metrics },
      { title = "Events that were not delivered", metrics = local.delivery_metrics },
    ] : chart if length(chart.metrics) > 0
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  count = var.dashboard ? 1 : 0

  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = concat(
      [for index, chart in local.charts : {
        type       = "metric", x = 12 * index, y = 0, width = 12, height = 6
        properties = { title = chart.title, region = local.region, view = "timeSeries", stat = "Sum", period = 300, metrics = chart.metrics }
      }],
      [{
        type       = "log", x = 0, y = 6, width = 24, height = 8
        properties = { title = "What jobs complained of", region = local.region, view = "table", query = local.log_query }
      }],
    )
  })
}
