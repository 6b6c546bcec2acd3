# The smallest configuration: all defaults, and jobs run on Fargate Spot.

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
}

variable "region" {
  description = "The AWS region to be in."
  type        = string
  default     = "us-east-1"
}

variable "force_destroy" {
  description = "Whether `terraform destroy` takes plates and profiles away too."
  type        = bool
  default     = false
}

module "cytobatch" {
  source = "../.."

  compute_kinds = ["fargate_spot"]
  force_destroy = var.force_destroy
}

output "deployment" {
  description = "For `cytobatch submit --deployment`: terraform output -json > deployment.json"
  value       = module.cytobatch.deployment
}

output "repository_url" {
  description = "Where the image is pushed to."
  value       = module.cytobatch.repository_url
}

output "prefect_pool" {
  description = "For `cytobatch pool --deployment`, in the same file."
  value       = module.cytobatch.prefect_pool
}
