# The deployment with all defaults.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name = "lab"
}

run "deployment_has_what_submit_reads" {
  command = plan

  assert {
    condition = toset(keys(output.deployment)) == toset([
      "name", "region", "jobs_uri", "source_uri", "destination_uri", "log_group", "queues", "definitions", "scratch_gib", "share_identifier",
    ])
    error_message = "deployment has other keys than `cytobatch submit` reads."
  }

  assert {
    condition = [output.deployment.source_uri, output.deployment.destination_uri, output.deployment.jobs_uri] == [
      "s3://lab-source-123456789012-eu-central-1/uploads",
      "s3://lab-results-123456789012-eu-central-1/profiles",
      "s3://lab-results-123456789012-eu-central-1/jobs",
    ]
    error_message = "deployment names other places than those made."
  }

  assert {
    condition     = output.deployment.scratch_gib == { ec2_spot = 1000, fargate = 200, fargate_spot = 200 }
    error_message = "scratch_gib is not what jobs get."
  }

  assert {
    condition = alltrue([
      for map in [output.deployment.queues, output.deployment.definitions] : toset(keys(map)) == toset(["ec2_spot", "fargate", "fargate_spot"])
    ])
    error_message = "queues and definitions do not have all three kinds."
  }

  assert {
    condition     = output.deployment.log_group == "/aws/batch/lab" && output.deployment.share_identifier == "default"
    error_message = "log_group or share_identifier is another."
  }
}

run "buckets_are_closed_versioned_and_tidied" {
  command = plan

  assert {
    condition     = { for key, bucket in aws_s3_bucket.this : key => bucket.force_destroy } == { results = false, source = false }
    error_message = "There are not two buckets, or they would be destroyed with what is in them."
  }

  assert {
    condition     = alltrue([for versioning in aws_s3_bucket_versioning.this : versioning.versioning_configuration[0].status == "Enabled"]) && length(aws_s3_bucket_versioning.this) == 2
    error_message = "A bucket is not versioned."
  }

  assert {
    condition = length(aws_s3_bucket_server_side_encryption_configuration.this) == 2 && alltrue([
      for encryption in aws_s3_bucket_server_side_encryption_configuration.this :
      one(one(encryption.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    ])
    error_message = "A bucket is not encrypted with SSE-S3."
  }

  assert {
    condition = length(aws_s3_bucket_public_access_block.this) == 2 && alltrue([
      for block in aws_s3_bucket_public_access_block.this :
      block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets
    ])
    error_message = "A bucket may be made public."
  }

  assert {
    condition = length(data.aws_iam_policy_document.tls_only) == 2 && alltrue([
      for document in data.aws_iam_policy_document.tls_only : document.statement[0].effect == "Deny" && one(document.statement[0].condition).variable == "aws:SecureTransport"
    ])
    error_message = "A bucket may be used without TLS."
  }

  assert {
    condition = (
      [for rule in aws_s3_bucket_lifecycle_configuration.this["results"].rule : rule.id] == ["aborted-uploads", "replaced-and-deleted", "jobs"] &&
      [for rule in aws_s3_bucket_lifecycle_configuration.this["source"].rule : rule.id] == ["aborted-uploads", "replaced-and-deleted"] &&
      aws_s3_bucket_lifecycle_configuration.this["results"].rule[2].filter[0].prefix == "jobs/"
    )
    error_message = "Something else expires than aborted uploads, old versions and what is below jobs/."
  }

  assert {
    condition     = keys(aws_s3_bucket_notification.source) == ["source"] && aws_s3_bucket_notification.source["source"].eventbridge
    error_message = "The source bucket does not send its events to EventBridge."
  }
}

run "kms_key_is_used_where_given" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition = alltrue([
      for encryption in aws_s3_bucket_server_side_encryption_configuration.this :
      one(one(encryption.rule).apply_server_side_encryption_by_default).kms_master_key_id == var.kms_key_arn
    ])
    error_message = "A bucket is not encrypted with the key."
  }

  assert {
    condition = alltrue([
      for document in [data.aws_iam_policy_document.job, data.aws_iam_policy_document.submitter] :
      jsonencode([for statement in document.statement : statement.resources if statement.sid == "Key"]) == jsonencode([[var.kms_key_arn]])
    ])
    error_message = "A role may not use the key, or may use others."
  }
}

run "definitions_are_the_files" {
  command = plan

  # Unchanged, in their order, with their attempts: only the files define the meaning of exit codes for AWS Batch.
  assert {
    condition = alltrue([
      for kind, definition in aws_batch_job_definition.this : [
        for rule in definition.retry_strategy[0].evaluate_on_exit :
        { for key, value in { onStatusReason = rule.on_status_reason, onReason = rule.on_reason, onExitCode = rule.on_exit_code, action = upper(rule.action) } : key => value if value != null && value != "" }
        ] == [
        for rule in jsondecode(file("../job-definitions/${replace(kind, "_", "-")}.json")).retryStrategy.evaluateOnExit : { for key, value in rule : key => value }
      ]
    ])
    error_message = "evaluateOnExit is another than in the files."
  }

  assert {
    condition = alltrue([
      for kind, definition in aws_batch_job_definition.this :
      definition.retry_strategy[0].attempts == jsondecode(file("../job-definitions/${replace(kind, "_", "-")}.json")).retryStrategy.attempts
    ])
    error_message = "attempts are others than in the files."
  }

  assert {
    condition = alltrue([
      for kind, definition in aws_batch_job_definition.this : alltrue([
        for key in ["command", "mountPoints", "volumes", "readonlyRootFilesystem"] :
        jsonencode(jsondecode(definition.container_properties)[key]) == jsonencode(jsondecode(file("../job-definitions/${replace(kind, "_", "-")}.json")).containerProperties[key])
      ])
    ])
    error_message = "Command, mounts or file system are others than in the files."
  }

  assert {
    condition     = [for kind in ["ec2_spot", "fargate", "fargate_spot"] : aws_batch_job_definition.this[kind].name] == ["lab-ec2-spot", "lab-fargate", "lab-fargate-spot"]
    error_message = "Definitions do not have the deployment's name."
  }

  assert {
    condition = alltrue([
      for definition in aws_batch_job_definition.this : jsondecode(definition.container_properties).logConfiguration.options == {
        awslogs-group         = "/aws/batch/lab"
        awslogs-region        = "eu-central-1"
        awslogs-stream-prefix = jsondecode(definition.container_properties).logConfiguration.options.awslogs-stream-prefix
      }
    ])
    error_message = "Logs do not go to the deployment's group."
  }

  # EC2 hosts pass no region to their containers, and Fargate sets AWS_REGION, which boto3 does not read.
  assert {
    condition = alltrue([
      for definition in aws_batch_job_definition.this :
      jsonencode(jsondecode(definition.container_properties).environment) == jsonencode([
        { name = "AWS_DEFAULT_REGION", value = "eu-central-1" },
        { name = "CYTOBATCH_SPEC_LOCATIONS", value = "s3://lab-source-123456789012-eu-central-1/uploads,s3://lab-results-123456789012-eu-central-1/profiles" },
      ])
    ])
    error_message = "Containers have no region, or an uploaded spec may name other locations."
  }

  assert {
    condition = (
      jsondecode(aws_batch_job_definition.this["ec2_spot"].container_properties).privileged == false &&
      !can(jsondecode(aws_batch_job_definition.this["ec2_spot"].container_properties).ephemeralStorage) &&
      jsondecode(aws_batch_job_definition.this["fargate"].container_properties).ephemeralStorage.sizeInGiB == 200 &&
      jsondecode(aws_batch_job_definition.this["fargate"].container_properties).networkConfiguration.assignPublicIp == "ENABLED"
    )
    error_message = "Scratch, network or privileges are not those of the kind of compute."
  }
}

run "sizes_are_the_defaults_given" {
  command = plan

  variables {
    job_defaults        = { vcpus = 4, memory_mib = 16384, timeout_hours = 1.5 }
    fargate_scratch_gib = 100
  }

  assert {
    condition = {
      for kind, definition in aws_batch_job_definition.this :
      kind => { for need in jsondecode(definition.container_properties).resourceRequirements : need.type => need.value }
      } == {
      ec2_spot     = { VCPU = "8", MEMORY = "24576" }
      fargate      = { VCPU = "4", MEMORY = "16384" }
      fargate_spot = { VCPU = "4", MEMORY = "16384" }
    }
    error_message = "vCPUs or memory are not those given on Fargate, and those of a host on EC2."
  }

  assert {
    condition     = alltrue([for definition in aws_batch_job_definition.this : definition.timeout[0].attempt_duration_seconds == 5400])
    error_message = "Time is not what was given."
  }

  assert {
    condition     = jsondecode(aws_batch_job_definition.this["fargate_spot"].container_properties).ephemeralStorage.sizeInGiB == 100 && output.deployment.scratch_gib["fargate_spot"] == 100
    error_message = "Scratch is not what was given."
  }
}

run "nothing_runs_at_rest" {
  command = plan

  assert {
    condition     = alltrue([for environment in aws_batch_compute_environment.this : coalesce(environment.compute_resources[0].min_vcpus, 0) == 0])
    error_message = "A compute environment keeps hosts while there is nothing to do."
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.failed_jobs) + length(aws_cloudwatch_metric_alarm.dead_letters) == 2 && length(aws_cloudwatch_dashboard.this) == 1
    error_message = "There are more alarms or dashboards than an account has free."
  }
}
