# Most of the choices: all kinds of compute, shares for two groups of people, platemaps in a bucket of their own,
# versions as image tags, a message for each failed job.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { project = "cell-painting" }
  }
}

module "cytobatch" {
  source = "../.."

  name = var.name
  tags = { team = "imaging" }

  source_prefix      = "uploads"
  destination_prefix = "profiles"
  jobs_prefix        = "jobs"
  read_only          = [{ bucket = "cellpainting-gallery", prefix = "cpg0016-jump/source_4/workspace/metadata" }]
  noncurrent_days    = 14
  force_destroy      = var.force_destroy

  image_tag      = var.image_tag
  immutable_tags = true

  compute_kinds = ["fargate", "fargate_spot", "ec2_spot"]
  max_vcpus     = { fargate = 32, fargate_spot = 512, ec2_spot = 512 }
  job_defaults  = { vcpus = 4, memory_mib = 16384, timeout_hours = 8 }
  ec2           = { scratch_gib = 2000, scratch_iops = 6000, scratch_mib_s = 500 }

  queue_priority = { submitted = 10, events = 20 }
  fair_share     = { share_identifier = "screening", weights = { screening = 1, development = 2 }, reserve = 10 }

  vpc_cidr    = "10.80.0.0/20"
  ecs_cluster = true

  events_compute      = "fargate_spot"
  event_max_age_hours = 12
  notification_email  = var.notification_email
  log_retention_days  = 90
}
