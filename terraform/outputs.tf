output "deployment" {
  description = "The deployment for `cytobatch submit --deployment`, from `terraform output -json`."
  value = {
    name             = var.name
    region           = local.region
    jobs_uri         = local.jobs_uri
    source_uri       = local.source_uri
    destination_uri  = local.destination_uri
    log_group        = aws_cloudwatch_log_group.jobs.name
    queues           = local.queues
    definitions      = local.definitions
    scratch_gib      = { for kind in var.compute_kinds : kind => kind == "ec2_spot" ? var.ec2.scratch_gib : var.fargate_scratch_gib }
    share_identifier = try(var.fair_share.share_identifier, null)
  }
}

output "repository_url" {
  description = "The repository to push the image to; null if `image` was given."
  value       = one(aws_ecr_repository.this[*].repository_url)
}

output "image" {
  description = "The image that jobs run."
  value       = local.image
}

output "source_bucket" {
  description = "The bucket that plates are uploaded to."
  value       = local.source_bucket
}

output "results_bucket" {
  description = "The bucket that profiles go to."
  value       = local.results_bucket
}

output "events_queue_arn" {
  description = "The queue of jobs that uploads start; null if all events are off."
  value       = one(aws_batch_job_queue.events[*].arn)
}

output "event_rules" {
  description = "The EventBridge rules by kind of upload."
  value       = { for kind, rule in aws_cloudwatch_event_rule.uploads : kind => rule.name }
}

output "dead_letter_queue_url" {
  description = "The SQS queue of events that could not be made into a job, or into a message on a failed one."
  value       = aws_sqs_queue.dead_letters.url
}

output "notification_topic_arn" {
  description = "The SNS topic with messages on failed jobs and undelivered events, for subscriptions of your own."
  value       = aws_sns_topic.this.arn
}

output "execution_role_arn" {
  description = "The role that starts jobs' containers."
  value       = aws_iam_role.execution.arn
}

output "job_role_arn" {
  description = "The role of the program in a job: a bucket of another account must grant it access."
  value       = aws_iam_role.job.arn
}

output "submitter_policy_arn" {
  description = "The managed policy for people who run `cytobatch submit`, `status` and `collect`."
  value       = aws_iam_policy.submitter.arn
}

output "policies" {
  description = "The policy documents as applied, by the role that they are for: execution, job, events, instance and submitter."
  value = {
    execution = data.aws_iam_policy_document.start_container.json
    job       = data.aws_iam_policy_document.job.json
    events    = one(data.aws_iam_policy_document.events[*].json)
    instance  = one(data.aws_iam_policy_document.instance[*].json)
    submitter = data.aws_iam_policy_document.submitter.json
  }
}

output "subnet_ids" {
  description = "The subnets that jobs run in."
  value       = local.subnet_ids
}

output "security_group_ids" {
  description = "The security groups of jobs."
  value       = local.security_group_ids
}

output "prefect_pool" {
  description = "The tasks of a Prefect work pool on ECS for `cytobatch pool --deployment`, from `terraform output -json`."
  value = {
    name               = var.name
    region             = local.region
    image              = local.image
    cluster            = one(aws_ecs_cluster.this[*].name)
    vpc_id             = local.own_network ? aws_vpc.this[0].id : data.aws_subnet.given[0].vpc_id
    subnet_ids         = local.subnet_ids
    security_group_ids = local.security_group_ids
    assign_public_ip   = local.assign_public_ip
    job_role_arn       = aws_iam_role.job.arn
    execution_role_arn = aws_iam_role.execution.arn
    log_group          = aws_cloudwatch_log_group.jobs.name
    vcpus              = var.job_defaults.vcpus
    memory_mib         = var.job_defaults.memory_mib
    scratch_gib        = var.fargate_scratch_gib
  }
}
