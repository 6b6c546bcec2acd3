# Compute environments and queues. All start with 0 vCPUs and return to 0.

locals {
  has_ec2    = contains(var.compute_kinds, "ec2_spot")
  has_events = anytrue(values(var.events))
  types      = { fargate = "FARGATE", fargate_spot = "FARGATE_SPOT", ec2_spot = "SPOT" }
  queues     = { for kind, queue in aws_batch_job_queue.this : kind => queue.arn }
}

resource "aws_batch_compute_environment" "this" {
  for_each = var.compute_kinds

  # The new environment is made before the old one is removed, because a queue must have one.
  compute_environment_name_prefix = "${var.name}-${replace(each.key, "_", "-")}-"
  type                            = "MANAGED"
  tags                            = local.tags

  compute_resources {
    type                = local.types[each.key]
    max_vcpus           = var.max_vcpus[each.key]
    min_vcpus           = each.key == "ec2_spot" ? 0 : null
    allocation_strategy = each.key == "ec2_spot" ? "SPOT_PRICE_CAPACITY_OPTIMIZED" : null
    instance_type       = each.key == "ec2_spot" ? var.ec2.instance_types : null
    instance_role       = each.key == "ec2_spot" ? aws_iam_instance_profile.this[0].arn : null
    subnets             = local.subnet_ids
    security_group_ids  = local.security_group_ids

    dynamic "ec2_configuration" {
      for_each = each.key == "ec2_spot" ? ["ECS_AL2023"] : []

      content {
        image_type = ec2_configuration.value
      }
    }

    dynamic "launch_template" {
      for_each = each.key == "ec2_spot" ? aws_launch_template.this : []

      content {
        launch_template_id = launch_template.value.id
        version            = launch_template.value.latest_version
      }
    }
  }

  lifecycle {
    create_before_destroy = true
  }

  # Hosts and tasks need the routes from their start until they have deregistered.
  depends_on = [
    aws_iam_role_policy.instance, aws_route.internet, aws_route_table_association.this, aws_vpc_endpoint.s3,
    aws_vpc_security_group_egress_rule.https,
  ]
}

# Fair share

resource "aws_batch_scheduling_policy" "this" {
  count = var.fair_share == null ? 0 : 1

  name = var.name
  tags = local.tags

  fair_share_policy {
    compute_reservation = var.fair_share.reserve
    share_decay_seconds = var.fair_share.decay_seconds

    dynamic "share_distribution" {
      for_each = merge({ (var.fair_share.share_identifier) = 1 }, var.fair_share.weights)

      content {
        share_identifier = share_distribution.key
        weight_factor    = share_distribution.value
      }
    }
  }
}

# A queue cannot change between fair share and first in, first out: it is replaced.
resource "terraform_data" "queue_order" {
  input = var.fair_share == null ? "first in, first out" : "fair share"
}

resource "aws_batch_job_queue" "this" {
  for_each = aws_batch_compute_environment.this

  name                  = "${var.name}-${replace(each.key, "_", "-")}"
  state                 = "ENABLED"
  priority              = var.queue_priority.submitted
  scheduling_policy_arn = one(aws_batch_scheduling_policy.this[*].arn)
  tags                  = local.tags

  compute_environment_order {
    order               = 1
    compute_environment = each.value.arn
  }

  lifecycle {
    replace_triggered_by = [terraform_data.queue_order]
  }
}

# EventBridge's target for AWS Batch has no field for a share identifier, which a queue with fair share demands. So events have a
# queue of their own, first in, first out, on the compute of their kind.
resource "aws_batch_job_queue" "events" {
  count = local.has_events ? 1 : 0

  name     = "${var.name}-events"
  state    = "ENABLED"
  priority = var.queue_priority.events
  tags     = local.tags

  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.this[var.events_compute].arn
  }
}
