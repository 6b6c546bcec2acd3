# Job definitions, from the files that `aws batch register-job-definition --cli-input-json` accepts too. A deployment adds its
# image, roles, log group, sizes and network.

locals {
  definition_files = {
    for kind in var.compute_kinds : kind => jsondecode(file("${path.module}/../job-definitions/${replace(kind, "_", "-")}.json"))
  }
  definitions = { for kind, definition in aws_batch_job_definition.this : kind => definition.arn_prefix }

  # The file's properties, overridden by those of this deployment.
  containers = {
    for kind, definition in local.definition_files : kind => merge(
      definition.containerProperties,
      {
        image            = local.image
        executionRoleArn = aws_iam_role.execution.arn
        jobRoleArn       = aws_iam_role.job.arn
        # EC2 hosts pass no region to their containers, and Fargate sets AWS_REGION, which boto3 does not read.
        environment = concat([
          { name = "AWS_DEFAULT_REGION", value = local.region },
          # The only locations that an uploaded spec may name. `cytobatch submit` trusts the spec that it writes itself.
          { name = "CYTOBATCH_SPEC_LOCATIONS", value = join(",", local.spec_locations) },
        ], var.log_format == "text" ? [] : [{ name = "CYTOBATCH_LOG_FORMAT", value = var.log_format }])
        logConfiguration = merge(definition.containerProperties.logConfiguration, {
          options = merge(definition.containerProperties.logConfiguration.options, {
            awslogs-group  = aws_cloudwatch_log_group.jobs.name
            awslogs-region = local.region
          })
        })
      },
      # On EC2 a job has the size in the file, which fills a host.
      kind == "ec2_spot" ? { privileged = false, user = "10001" } : null,
      kind == "ec2_spot" ? null : {
        resourceRequirements = [
          { type = "VCPU", value = tostring(var.job_defaults.vcpus) },
          { type = "MEMORY", value = tostring(var.job_defaults.memory_mib) },
        ]
        ephemeralStorage     = { sizeInGiB = var.fargate_scratch_gib }
        networkConfiguration = { assignPublicIp = local.assign_public_ip ? "ENABLED" : "DISABLED" }
      },
    )
  }
}

resource "aws_cloudwatch_log_group" "jobs" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts logs with its own keys; they name plates and files, and hold none of their content
  #checkov:skip=CKV_AWS_338:log_retention_days decides; a year of logs would cost storage that few need
  name              = "/aws/batch/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

# No definition has a scheduling priority: queues with fair share demand one, which `cytobatch submit` gives, and the events'
# queue refuses jobs that have one.
resource "aws_batch_job_definition" "this" {
  for_each = local.definition_files

  name                       = replace(each.value.jobDefinitionName, "/^cytobatch/", var.name)
  type                       = each.value.type
  platform_capabilities      = each.value.platformCapabilities
  parameters                 = each.value.parameters
  propagate_tags             = each.value.propagateTags
  container_properties       = jsonencode(local.containers[each.key])
  deregister_on_new_revision = true
  tags                       = local.tags

  retry_strategy {
    attempts = each.value.retryStrategy.attempts

    dynamic "evaluate_on_exit" {
      for_each = each.value.retryStrategy.evaluateOnExit

      content {
        action           = evaluate_on_exit.value.action
        on_exit_code     = lookup(evaluate_on_exit.value, "onExitCode", null)
        on_reason        = lookup(evaluate_on_exit.value, "onReason", null)
        on_status_reason = lookup(evaluate_on_exit.value, "onStatusReason", null)
      }
    }
  }

  timeout {
    attempt_duration_seconds = (
      var.job_defaults.timeout_hours == null ? each.value.timeout.attemptDurationSeconds : floor(var.job_defaults.timeout_hours * 3600)
    )
  }
}
