# Buckets for plates and profiles, made unless yours are named.

locals {
  made_buckets = merge(
    var.source_bucket == null ? { source = "${var.name}-source-${local.account}-${local.region}" } : {},
    var.results_bucket == null ? { results = "${var.name}-results-${local.account}-${local.region}" } : {},
  )
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:Access logs are an account's own choice, and would cost storage at rest
  #checkov:skip=CKV_AWS_144:Plates are kept where they are made; a second region would double what they cost
  #checkov:skip=CKV_AWS_145:Encrypted with kms_key_arn where given, else with SSE-S3, which costs nothing
  #checkov:skip=CKV2_AWS_62:The source bucket sends its events to EventBridge; nothing listens to the results
  for_each = local.made_buckets

  bucket        = each.value
  force_destroy = var.force_destroy
  tags          = local.tags
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    bucket_key_enabled = var.kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = aws_s3_bucket.this

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

data "aws_iam_policy_document" "tls_only" {
  for_each = aws_s3_bucket.this

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [each.value.arn, "${each.value.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id
  policy = data.aws_iam_policy_document.tls_only[each.key].json

  # S3 refuses two changes of a bucket's access at once.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    id     = "aborted-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  rule {
    id     = "replaced-and-deleted"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    expiration {
      expired_object_delete_marker = true
    }
  }

  dynamic "rule" {
    for_each = each.key == "results" ? [local.jobs_folder] : []

    content {
      id     = "jobs"
      status = "Enabled"

      filter {
        prefix = rule.value
      }

      expiration {
        days = var.jobs_expiration_days
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_notification" "source" {
  for_each = { for key, bucket in aws_s3_bucket.this : key => bucket if key == "source" }

  bucket      = each.value.id
  eventbridge = true
}
