# Roles of jobs: the execution role starts the container, the job role is that of the program, and the instance role is that
# of EC2 hosts.

locals {
  pull_actions = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
  log_streams  = "${aws_cloudwatch_log_group.jobs.arn}:log-stream:*"
}

data "aws_iam_policy_document" "trust_ecs_tasks" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

# A task's own role: ECS assumes it, and the condition names the account that it does so for.
data "aws_iam_policy_document" "trust_own_tasks" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:ecs:${local.region}:${local.account}:*"]
    }
  }
}

# Execution

resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution-${local.region}"
  description        = "Pulls the image and writes the logs of ${var.name}'s jobs"
  assume_role_policy = data.aws_iam_policy_document.trust_ecs_tasks.json
  tags               = local.tags
}

data "aws_iam_policy_document" "start_container" {
  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = [local.log_streams]
  }

  # The token names no repository.
  dynamic "statement" {
    for_each = length(local.repository_arns) > 0 ? [1] : []

    content {
      sid       = "RegistryToken"
      actions   = ["ecr:GetAuthorizationToken"]
      resources = ["*"]
    }
  }

  dynamic "statement" {
    for_each = length(local.repository_arns) > 0 ? [1] : []

    content {
      sid       = "Image"
      actions   = local.pull_actions
      resources = local.repository_arns
    }
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "start-container"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.start_container.json
}

# Job

resource "aws_iam_role" "job" {
  name               = "${var.name}-job-${local.region}"
  description        = "What cytobatch may do in a job: read plates, write profiles"
  assume_role_policy = data.aws_iam_policy_document.trust_own_tasks.json
  tags               = local.tags
}

data "aws_iam_policy_document" "job" {
  # A folder is listed by its name, with the slash or without it.
  dynamic "statement" {
    for_each = local.readable

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

  statement {
    sid     = "Read"
    actions = ["s3:GetObject"]
    resources = concat(
      [for place in local.readable : "arn:${local.partition}:s3:::${place.bucket}/${place.prefix}*"],
      ["arn:${local.partition}:s3:::${local.results_bucket}/${local.jobs_folder}*"],
    )
  }

  # An earlier run's report is read, and the outputs that it names are replaced or removed; no objects are listed.
  # The parts of uploads are compared before they are completed.
  statement {
    sid = "Write"
    actions = [
      "s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject",
    ]
    resources = ["arn:${local.partition}:s3:::${local.results_bucket}/${local.destination_folder}*"]
  }

  # Uploads that killed jobs have left are aborted. This action has no condition for a prefix.
  statement {
    sid       = "Uploads"
    actions   = ["s3:ListBucketMultipartUploads"]
    resources = ["arn:${local.partition}:s3:::${local.results_bucket}"]
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

resource "aws_iam_role_policy" "job" {
  name   = "plates"
  role   = aws_iam_role.job.id
  policy = data.aws_iam_policy_document.job.json
}

# EC2 hosts

data "aws_iam_policy_document" "trust_ec2" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "instance" {
  count = local.has_ec2 ? 1 : 0

  name               = "${var.name}-instance-${local.region}"
  description        = "The ECS agent on ${var.name}'s EC2 hosts"
  assume_role_policy = data.aws_iam_policy_document.trust_ec2.json
  tags               = local.tags
}

# The rights of AmazonEC2ContainerServiceforEC2Role without CreateCluster, with images and logs narrowed to this deployment's.
data "aws_iam_policy_document" "instance" {
  #checkov:skip=CKV_AWS_356:The agent finds its endpoint and its tags before it is in a cluster, and these actions name no resource
  #checkov:skip=CKV_AWS_111:The same; AWS Batch makes and names the cluster, and the host's registration is bound to its region
  count = local.has_ec2 ? 1 : 0

  source_policy_documents = [data.aws_iam_policy_document.start_container.json]

  statement {
    sid       = "FindCluster"
    actions   = ["ec2:DescribeTags", "ecs:DiscoverPollEndpoint"]
    resources = ["*"]
  }

  statement {
    sid = "EcsAgent"
    actions = [
      "ecs:DeregisterContainerInstance", "ecs:Poll", "ecs:RegisterContainerInstance", "ecs:StartTelemetrySession",
      "ecs:SubmitAttachmentStateChanges", "ecs:SubmitContainerStateChange", "ecs:SubmitTaskStateChange", "ecs:UpdateContainerInstancesState",
    ]
    resources = [
      "arn:${local.partition}:ecs:${local.region}:${local.account}:cluster/*",
      "arn:${local.partition}:ecs:${local.region}:${local.account}:container-instance/*",
      "arn:${local.partition}:ecs:${local.region}:${local.account}:task/*",
    ]
  }

  statement {
    sid       = "TagItself"
    actions   = ["ecs:TagResource"]
    resources = ["arn:${local.partition}:ecs:${local.region}:${local.account}:container-instance/*"]

    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RegisterContainerInstance"]
    }
  }
}

resource "aws_iam_role_policy" "instance" {
  count = local.has_ec2 ? 1 : 0

  name   = "ecs-agent"
  role   = aws_iam_role.instance[0].id
  policy = data.aws_iam_policy_document.instance[0].json
}

resource "aws_iam_instance_profile" "this" {
  count = local.has_ec2 ? 1 : 0

  name = aws_iam_role.instance[0].name
  role = aws_iam_role.instance[0].name
  tags = local.tags
}
