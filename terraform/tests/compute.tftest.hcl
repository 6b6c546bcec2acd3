# Kinds of compute, the network, shares.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name = "lab"
}

run "kinds_can_be_left_out" {
  command = plan

  variables {
    compute_kinds = ["fargate_spot"]
  }

  assert {
    condition = alltrue([
      for map in [output.deployment.queues, output.deployment.definitions, output.deployment.scratch_gib] : keys(map) == ["fargate_spot"]
    ])
    error_message = "deployment names kinds that are switched off."
  }

  assert {
    condition     = keys(aws_batch_compute_environment.this) == ["fargate_spot"] && length(aws_launch_template.this) + length(aws_iam_role.instance) + length(aws_iam_instance_profile.this) == 0
    error_message = "Something of a kind that is switched off is left."
  }
}

run "no_kind_is_none" {
  command = plan

  variables {
    compute_kinds = []
    events        = { sqlite = false, success = false, spec = false }
  }

  expect_failures = [var.compute_kinds]
}

run "an_unknown_kind" {
  command = plan

  variables {
    compute_kinds = ["fargate_spot", "lambda"]
  }

  expect_failures = [var.compute_kinds]
}

run "own_network_has_no_nat_and_lets_nothing_in" {
  command = plan

  assert {
    condition     = [for zone in ["eu-central-1a", "eu-central-1b", "eu-central-1c"] : aws_subnet.this[zone].cidr_block] == ["10.64.0.0/22", "10.64.4.0/22", "10.64.8.0/22"] && length(aws_subnet.this) == 3
    error_message = "Subnets are others than three public ones."
  }

  assert {
    condition     = aws_vpc_endpoint.s3[0].vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3[0].service_name == "com.amazonaws.eu-central-1.s3"
    error_message = "S3 is not reached through a gateway endpoint, which costs nothing."
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.https[0].from_port == 443 && aws_vpc_security_group_egress_rule.https[0].to_port == 443
    error_message = "Jobs may reach something else than HTTPS."
  }
}

run "a_network_can_be_given" {
  command = plan

  variables {
    subnet_ids         = ["subnet-1", "subnet-2"]
    security_group_ids = ["sg-1"]
  }

  assert {
    condition = length(concat(
      aws_vpc.this, aws_internet_gateway.this, values(aws_subnet.this), aws_security_group.jobs, aws_vpc_endpoint.s3, aws_default_security_group.this, aws_route.internet,
    )) == 0
    error_message = "A network is made beside the one given."
  }

  assert {
    condition = alltrue([
      for environment in aws_batch_compute_environment.this :
      toset(environment.compute_resources[0].subnets) == toset(var.subnet_ids) && toset(environment.compute_resources[0].security_group_ids) == toset(var.security_group_ids)
    ])
    error_message = "Jobs run in another network than the one given."
  }

  assert {
    condition     = jsondecode(aws_batch_job_definition.this["fargate"].container_properties).networkConfiguration.assignPublicIp == "DISABLED"
    error_message = "Jobs get a public address in a network that was given without one."
  }

  assert {
    condition = [output.prefect_pool.subnet_ids, output.prefect_pool.security_group_ids, output.prefect_pool.assign_public_ip, output.prefect_pool.vpc_id] == [
      var.subnet_ids, var.security_group_ids, false, data.aws_subnet.given[0].vpc_id,
    ]
    error_message = "A Prefect pool is in another network than jobs."
  }
}

run "a_prefect_pool_has_the_roles_and_the_network_of_jobs" {
  command = plan

  variables {
    ecs_cluster         = true
    fargate_scratch_gib = 60
    job_defaults        = { vcpus = 4, memory_mib = 16384 }
  }

  assert {
    condition = { for name in ["name", "cluster", "vcpus", "memory_mib", "scratch_gib", "log_group", "assign_public_ip"] : name => output.prefect_pool[name] } == {
      name = var.name, cluster = var.name, vcpus = 4, memory_mib = 16384, scratch_gib = 60, log_group = "/aws/batch/${var.name}", assign_public_ip = true
    }
    error_message = "The pool's tasks have another size, disk, log or cluster."
  }

  assert {
    condition = [output.prefect_pool.job_role_arn, output.prefect_pool.execution_role_arn, output.prefect_pool.vpc_id] == [
      aws_iam_role.job.arn, aws_iam_role.execution.arn, aws_vpc.this[0].id,
    ]
    error_message = "The pool's tasks have other roles, or another network."
  }
}

run "without_a_cluster_the_pool_names_none" {
  command = plan

  assert {
    condition     = length(aws_ecs_cluster.this) == 0 && output.prefect_pool.cluster == null
    error_message = "A cluster is made that was not asked for."
  }
}

run "half_a_network" {
  command = plan

  variables {
    subnet_ids = ["subnet-1"]
  }

  expect_failures = [var.security_group_ids]
}

run "hosts_have_scratch_of_their_own" {
  command = plan

  variables {
    ec2 = { scratch_gib = 4000, scratch_iops = 8000, scratch_mib_s = 1000 }
  }

  assert {
    condition = { for disk in aws_launch_template.this[0].block_device_mappings : disk.device_name => [disk.ebs[0].volume_type, disk.ebs[0].volume_size, disk.ebs[0].encrypted] } == {
      "/dev/xvda" = ["gp3", 30, "true"]
      "/dev/xvdb" = ["gp3", 4000, "true"]
    }
    error_message = "Disks are others, or not encrypted."
  }

  assert {
    condition     = aws_launch_template.this[0].metadata_options[0].http_tokens == "required" && aws_launch_template.this[0].metadata_options[0].http_put_response_hop_limit == 1
    error_message = "Hosts give their credentials to more than IMDSv2 from the host itself."
  }

  assert {
    condition = (
      strcontains(base64decode(aws_launch_template.this[0].user_data), "ECS_CONTAINER_STOP_TIMEOUT=110s") &&
      strcontains(base64decode(aws_launch_template.this[0].user_data), file("./templates/host.sh")) && output.deployment.scratch_gib["ec2_spot"] == 4000
    )
    error_message = "Hosts are prepared in another way."
  }
}

run "gp3_has_its_bounds" {
  command = plan

  variables {
    ec2 = { scratch_iops = 3000, scratch_mib_s = 1000 }
  }

  expect_failures = [var.ec2]
}

run "a_host_has_the_size_of_a_job" {
  command = plan

  assert {
    condition = alltrue([
      for type in one(aws_batch_compute_environment.this["ec2_spot"].compute_resources).instance_type : can(regex("^m[5-9][a-z]*[.]2xlarge$", type))
    ])
    error_message = "A host has another size than 8 vCPUs and 32 GiB."
  }

  assert {
    condition = (
      { for need in jsondecode(aws_batch_job_definition.this["ec2_spot"].container_properties).resourceRequirements : need.type => need.value } ==
      { VCPU = "8", MEMORY = "24576" }
    )
    error_message = "A job leaves room on its host for another, which would share its scratch volume."
  }
}

run "hosts_of_other_types" {
  command = plan

  variables {
    ec2 = { instance_types = ["m7i.2xlarge", "m7i-flex.2xlarge", "r6id.2xlarge"] }
  }

  assert {
    condition     = toset(one(aws_batch_compute_environment.this["ec2_spot"].compute_resources).instance_type) == toset(var.ec2.instance_types)
    error_message = "Hosts are of other types than those given."
  }
}

run "a_family_has_hosts_for_several_jobs" {
  command = plan

  variables {
    ec2 = { instance_types = ["m6i.2xlarge", "m6i"] }
  }

  expect_failures = [var.ec2]
}

run "a_host_for_two_jobs" {
  command = plan

  variables {
    ec2 = { instance_types = ["m6i.4xlarge"] }
  }

  expect_failures = [var.ec2]
}

run "a_host_with_too_little_memory" {
  command = plan

  variables {
    ec2 = { instance_types = ["c6i.2xlarge"] }
  }

  expect_failures = [var.ec2]
}

run "a_host_that_is_no_x86" {
  command = plan

  variables {
    ec2 = { instance_types = ["m7g.2xlarge"] }
  }

  expect_failures = [var.ec2]
}

run "vcpus_for_less_than_one_host" {
  command = plan

  variables {
    max_vcpus = { ec2_spot = 4 }
  }

  expect_failures = [var.max_vcpus]
}

run "fargate_has_its_sizes" {
  command = plan

  variables {
    job_defaults = { vcpus = 2, memory_mib = 32768 }
  }

  expect_failures = [var.job_defaults]
}

run "shares_are_weighed" {
  command = plan

  variables {
    fair_share = { share_identifier = "screening", weights = { development = 2 }, reserve = 10 }
  }

  assert {
    condition = { for share in aws_batch_scheduling_policy.this[0].fair_share_policy[0].share_distribution : share.share_identifier => share.weight_factor } == {
      development = 2, screening = 1
    } && output.deployment.share_identifier == "screening"
    error_message = "Shares are others."
  }

  assert {
    condition     = alltrue([for queue in aws_batch_job_queue.this : queue.scheduling_policy_arn == aws_batch_scheduling_policy.this[0].arn])
    error_message = "A queue has no fair share."
  }

  # The events' queue is first in, first out, and refuses a job whose definition has a priority.
  assert {
    condition     = aws_batch_job_queue.events[0].scheduling_policy_arn == null && alltrue([for definition in aws_batch_job_definition.this : definition.scheduling_priority == null])
    error_message = "A definition has a priority, so that no event could start its job."
  }
}

run "shares_can_be_left_out" {
  command = plan

  variables {
    fair_share = null
  }

  assert {
    condition     = length(aws_batch_scheduling_policy.this) == 0 && output.deployment.share_identifier == null && alltrue([for queue in aws_batch_job_queue.this : queue.scheduling_policy_arn == null])
    error_message = "Fair share is left."
  }
}

run "tags_that_stay_need_a_version" {
  command = plan

  variables {
    immutable_tags = true
  }

  expect_failures = [var.immutable_tags]
}

run "a_name_that_no_bucket_could_have" {
  command = plan

  variables {
    name = "Lab_1"
  }

  expect_failures = [var.name]
}
