# Submitters of jobs: EventBridge, and people with `cytobatch submit`.

# Events: these definitions to this queue, nothing else

data "aws_iam_policy_document" "trust_events" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:events:${local.region}:${local.account}:rule/${var.name}-*"]
    }
  }
}

resource "aws_iam_role" "events" {
  count = local.has_events ? 1 : 0

  name               = "${var.name}-events-${local.region}"
  description        = "Lets EventBridge submit ${var.name}'s jobs"
  assume_role_policy = data.aws_iam_policy_document.trust_events.json
  tags               = local.tags
}

data "aws_iam_policy_document" "events" {
  count = local.has_events ? 1 : 0

  statement {
    sid     = "Submit"
    actions = ["batch:SubmitJob"]
    resources = [
      local.definitions[var.events_compute],
      "${local.definitions[var.events_compute]}:*",
      aws_batch_job_queue.events[0].arn,
    ]
  }
}

resource "aws_iam_role_policy" "events" {
  count = local.has_events ? 1 : 0

  name   = "submit"
  role   = aws_iam_role.events[0].id
  policy = data.aws_iam_policy_document.events[0].json
}

# People: attach this policy to the users or roles that run `cytobatch submit`, `status` and `collect`

data "aws_iam_policy_document" "submitter" {
  #checkov:skip=CKV_AWS_356:AWS Batch's Describe and List actions name no resource
  statement {
    sid     = "Submit"
    actions = ["batch:SubmitJob"]
    resources = concat(
      values(local.definitions), [for arn in values(local.definitions) : "${arn}:*"], values(local.queues),
    )
  }

  statement {
    sid       = "Follow"
    actions   = ["batch:DescribeJobDefinitions", "batch:DescribeJobQueues", "batch:DescribeJobs", "batch:ListJobs"]
    resources = ["*"]
  }

  statement {
    sid       = "ReadLogs"
    actions   = ["logs:GetLogEvents"]
    resources = [local.log_streams]
  }

  dynamic "statement" {
    for_each = concat(local.readable, [
      { bucket = local.results_bucket, prefix = local.destination_folder },
      { bucket = local.results_bucket, prefix = local.jobs_folder },
    ])

    content {
      sid       = "List${statement.key}"
      actions   = ["s3:ListBucket"]
      resources = ["arn:${local.partition}:s3:::${statement.value.bucket}"]

      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = statement.value.prefix == "" ? ["*"] : ["${statement.value.prefix}*", trimsuffix(statement.value.prefix, "/")]
      }
    }
  }

  # Listings of plates, by which jobs are sized, and published reports.
  statement {
    sid     = "Read"
    actions = ["s3:GetObject"]
    resources = concat([for place in local.readable : "arn:${local.partition}:s3:::${place.bucket}/${place.prefix}*"], [
      "arn:${local.partition}:s3:::${local.results_bucket}/${local.destination_folder}*",
      "arn:${local.partition}:s3:::${local.results_bucket}/${local.jobs_folder}*",
    ])
  }

  statement {
    sid       = "WriteSpecs"
    actions   = ["s3:AbortMultipartUpload", "s3:PutObject"]
    resources = ["arn:${local.partition}:s3:::${local.results_bucket}/${local.jobs_folder}*"]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]

    content {
      sid       = "Key"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${local.region}.amazonaws.com"]
      }
    }
  }
}

resource "aws_iam_policy" "submitter" {
  name        = "${var.name}-submitter-${local.region}"
  description = "For people who run cytobatch submit, status and collect on ${var.name}"
  policy      = data.aws_iam_policy_document.submitter.json
  tags        = local.tags
}
