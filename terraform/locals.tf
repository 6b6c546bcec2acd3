data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition
  region    = data.aws_region.this.name
  tags      = merge({ "cytobatch:deployment" = var.name }, var.tags)

  # Limits that variables are validated against.
  bucket_pattern = "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
  folder_pattern = "^([A-Za-z0-9][A-Za-z0-9!_.'() =+@-]*(/[A-Za-z0-9!_.'() =+@-]+)*/?)?$"

  # Fargate's sizes: the memory that goes with each number of vCPUs.
  fargate_memory_mib = { for vcpus, gib in {
    "0.25" = concat([0.5], range(1, 3)), "0.5" = range(1, 5), "1" = range(2, 9), "2" = range(4, 17), "4" = range(8, 31),
    "8"    = range(16, 61, 4), "16" = range(32, 121, 8), "32" = range(60, 245, 8)
  } : vcpus => [for amount in gib : amount * 1024] }

  # Prefixes end with a slash, so that `plates` does not match `plates2`; the whole bucket is "".
  source_folder      = replace(var.source_prefix, "/([^/])$/", "$1/")
  destination_folder = replace(var.destination_prefix, "/([^/])$/", "$1/")
  jobs_folder        = replace(var.jobs_prefix, "/([^/])$/", "$1/")
  one_bucket         = var.source_bucket != null && var.results_bucket != null && var.source_bucket == var.results_bucket

  source_bucket  = var.source_bucket == null ? aws_s3_bucket.this["source"].bucket : var.source_bucket
  results_bucket = var.results_bucket == null ? aws_s3_bucket.this["results"].bucket : var.results_bucket

  source_uri      = trimsuffix("s3://${local.source_bucket}/${local.source_folder}", "/")
  destination_uri = trimsuffix("s3://${local.results_bucket}/${local.destination_folder}", "/")
  jobs_uri        = trimsuffix("s3://${local.results_bucket}/${local.jobs_folder}", "/")

  # Everything that jobs may read.
  readable = concat([{ bucket = local.source_bucket, prefix = local.source_folder }], [
    for place in var.read_only : { bucket = place.bucket, prefix = replace(place.prefix, "/([^/])$/", "$1/") }
  ])

  # The same as URIs, and where jobs may write.
  spec_locations = concat([for place in local.readable : trimsuffix("s3://${place.bucket}/${place.prefix}", "/")], [local.destination_uri])
}
